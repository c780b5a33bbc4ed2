package engine

import (
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"cis/api"
	"cis/internal/image"
	"cis/internal/store"
)

func TestCommandJoinsSpecAndImage(t *testing.T) {
	for _, tt := range []struct {
		name                               string
		entrypoint, cmd, command, args, is []string
	}{
		{"image alone", []string{"e"}, []string{"c"}, nil, nil, []string{"e", "c"}},
		{"args replace cmd", []string{"e"}, []string{"c"}, nil, []string{"a"}, []string{"e", "a"}},
		{"command drops both", []string{"e"}, []string{"c"}, []string{"x"}, nil, []string{"x"}},
		{"command and args", []string{"e"}, []string{"c"}, []string{"x"}, []string{"a"}, []string{"x", "a"}},
		{"args without entrypoint", nil, []string{"c"}, nil, []string{"a"}, []string{"a"}},
		{"nothing", nil, nil, nil, nil, nil},
	} {
		im := image.Image{Config: ocispec.ImageConfig{Entrypoint: tt.entrypoint, Cmd: tt.cmd}}
		got, err := command(store.Instance{}, api.Container{Name: "main", Command: tt.command, Args: tt.args}, im)
		if !slices.Equal(got, tt.is) || (err != nil) != (tt.is == nil) {
			t.Errorf("%s: %v, %v", tt.name, got, err)
		}
	}
}

func TestEnvironmentLaterWins(t *testing.T) {
	im := image.Image{Config: ocispec.ImageConfig{Env: []string{"PATH=/x", "A=image", "B=image"}}}
	c := api.Container{TTY: true, Env: []api.EnvVar{{Name: "A", Value: "spec"}, {Name: "HOME", Value: "/h"}, {Name: "E"},
		{Name: "IP", ValueFrom: &api.EnvVarSource{FieldRef: &api.FieldRef{FieldPath: api.FieldAddress}}}}}
	rec := store.Instance{Instance: api.Instance{Spec: api.InstanceSpec{Hostname: "web"}, Status: api.InstanceStatus{Address: "10.0.0.9"}}}
	got := environment(rec, c, im, image.User{Home: "/root"})
	want := []string{"HOSTNAME=web", "TERM=xterm", "PATH=/x", "B=image", "A=spec", "HOME=/h", "E=", "IP=10.0.0.9"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestExpandFields(t *testing.T) {
	rec := store.Instance{Instance: api.Instance{Status: api.InstanceStatus{Address: "10.0.0.9", Address6: "fd00::9"}}}
	for text, want := range map[string]string{
		"$(status.address):80 [$(status.address6)]": "10.0.0.9:80 [fd00::9]",
		"$$(status.address) $$$(status.address)":    "$(status.address) $10.0.0.9",
		"$(A) $ $":                                  "$(A) $ $",
	} {
		c := api.Container{Command: []string{text}, Env: []api.EnvVar{{Name: "X", Value: text}}}
		if got := valueOf(rec, c, c.Env[0]); got != text {
			t.Errorf("%q became %q unasked", text, got)
		}
		c.ExpandFields = true
		args, err := command(rec, c, image.Image{})
		if got := valueOf(rec, c, c.Env[0]); err != nil || got != want || args[0] != want {
			t.Errorf("%q: %q, %q, %v", text, got, args, err)
		}
	}
}

func TestStopSignal(t *testing.T) {
	for want, of := range map[int]struct{ spec, image string }{15: {}, 3: {image: "quit"}, 10: {"SIGUSR1", "SIGQUIT"}, 37: {"SIGRTMIN+3", "SIGNOPE"}} {
		im := image.Image{Config: ocispec.ImageConfig{StopSignal: of.image}}
		if got, err := stopSignal(api.Container{Lifecycle: &api.Lifecycle{StopSignal: of.spec}}, im); err != nil || got != want {
			t.Errorf("%v: %d, %v", of, got, err)
		}
	}
	if got, err := stopSignal(api.Container{}, image.Image{Config: ocispec.ImageConfig{StopSignal: "SIGNOPE"}}); err == nil {
		t.Errorf("an image's SIGNOPE is %d", got)
	}
}

func TestCapabilities(t *testing.T) {
	has := func(caps []string, name string) bool { return slices.Contains(caps, "CAP_"+name) }
	if got := capabilities(nil); len(got) != len(defaultCapabilities) || !has(got, "NET_RAW") {
		t.Errorf("default: %v", got)
	}
	got := capabilities(&api.Capabilities{Drop: []string{"ALL"}, Add: []string{"NET_ADMIN"}})
	if len(got) != 1 || !has(got, "NET_ADMIN") {
		t.Errorf("drop ALL, add one: %v", got)
	}
	got = capabilities(&api.Capabilities{Add: []string{"ALL"}})
	if len(got) != len(api.AllCapabilities()) || slices.ContainsFunc(got, func(s string) bool { return !strings.HasPrefix(s, "CAP_") }) {
		t.Errorf("add ALL: %v", got)
	}
}

func TestDockerConfig(t *testing.T) {
	auths, err := parseDockerConfig([]byte(`{"auths":{"b":{"auth":"dTpwOng="},"a":{"username":"n","password":"w"}}}`))
	if err != nil || len(auths) != 2 || auths[0].Username != "n" || auths[1].Username != "u" || auths[1].Password != "p:x" {
		t.Errorf("%+v, %v", auths, err)
	}
	for _, bad := range []string{"", "{}", `{"auths":{"a":{"auth":"!"}}}`, `{"auths":{"a":{"auth":"eA=="}}}`} {
		if _, err := parseDockerConfig([]byte(bad)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}
