package image

import (
	"strings"
	"testing"

	"cis/api"
)

func TestNormalize(t *testing.T) {
	digest := "sha256:" + strings.Repeat("ab", 32)
	for ref, want := range map[string]string{
		"busybox":                          "docker.io/library/busybox:latest",
		"busybox:1.36":                     "docker.io/library/busybox:1.36",
		"docker.io/busybox":                "docker.io/library/busybox:latest",
		"docker.io/library/busybox:latest": "docker.io/library/busybox:latest",
		"index.docker.io/library/busybox":  "docker.io/library/busybox:latest",
		"user/app":                         "docker.io/user/app:latest",
		"localhost/app":                    "localhost/app:latest",
		"localhost:5000/busybox":           "localhost:5000/busybox:latest",
		"127.0.0.1:5000/a/b/c:v1":          "127.0.0.1:5000/a/b/c:v1",
		"[::1]:5000/app":                   "[::1]:5000/app:latest",
		"ghcr.io/o/app@" + digest:          "ghcr.io/o/app@" + digest,
		"busybox:1.36@" + digest:           "docker.io/library/busybox@" + digest,
	} {
		if got, err := Normalize(ref); got != want || err != nil {
			t.Errorf("Normalize(%q) = %q, %v, want %q", ref, got, err, want)
		}
	}
	for _, ref := range []string{"", " ", "Busybox", "a b", "busybox:", ":tag", "busybox@sha256:12", "http://x/y", "../x", "/x", "x//y", "busybox:" + strings.Repeat("t", 200), "\x00"} {
		got, err := Normalize(ref)
		if api.CodeOf(err) != api.Invalid {
			t.Errorf("Normalize(%q) = %q, %v, want Invalid", ref, got, err)
		}
	}
}

// A complete reference is its own normal form.
func FuzzNormalize(f *testing.F) {
	for _, ref := range []string{"busybox", "localhost:5000/a:b", "x@sha256:" + strings.Repeat("0", 64), "docker.io/library/x", "[::1]:5/x", "a.b/c/d:e"} {
		f.Add(ref)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		full, err := Normalize(ref)
		if err != nil {
			if api.CodeOf(err) != api.Invalid {
				t.Fatalf("%q: %v", ref, err)
			}
			return
		}
		if again, err := Normalize(full); again != full || err != nil {
			t.Errorf("%q gives %q, and that %q, %v", ref, full, again, err)
		}
	})
}

func TestRegistryRules(t *testing.T) {
	r := &registries{insecure: []string{"registry.lan", "registry.lan:5000"}}
	for host, want := range map[string]bool{
		"localhost": true, "localhost:5000": true, "127.0.0.1": true, "127.8.8.8:80": true, "[::1]:5000": true, "[::1]": true,
		"registry.lan": true, "registry.lan:5000": true, "registry.lan:5001": false, "10.0.0.1:5000": false, "192.168.1.1": false,
		"localhost.example.com": false, "example.local": false, "docker.io": false, "128.0.0.1": false, "[::2]:80": false,
	} {
		if got := r.httpAllowed(host); got != want {
			t.Errorf("http to %s: %v, want %v", host, got, want)
		}
	}
}
