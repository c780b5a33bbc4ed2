package client_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"cis/api"
)

func TestImages(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	var steps []string
	image, err := w.PullImage(ctx, api.ImagePull{Ref: "localhost:5000/a/b:1", Auth: &api.RegistryAuth{Username: "u", Password: "p"}},
		func(p api.Progress) { steps = append(steps, p.Status) })
	if err != nil || image.Refs[0] != "localhost:5000/a/b:1" || len(steps) != 3 || steps[2] != "Done" {
		t.Errorf("got %+v, %v, steps %q", image, err, steps)
	}
	if pull := w.engine.Pulls[0]; pull.Policy != api.PullAlways || pull.Auth.Password != "p" {
		t.Errorf("asked for %+v", pull)
	}
	for _, ref := range []string{"missing", "broken"} { // before and after the first line
		_, err := w.PullImage(ctx, api.ImagePull{Ref: ref}, nil)
		wantCode(t, err, api.NotFound)
	}
	body := bytes.Repeat([]byte("x"), 5<<20) // more than a JSON body may have
	image, err = w.ImportImage(ctx, "mine:1", bytes.NewReader(body), nil)
	if err != nil || image.Size != api.Bytes(len(body)) {
		t.Errorf("got %+v, %v", image, err)
	}
	failing := errors.New("unreadable")
	if _, err := w.ImportImage(ctx, "mine:2", io.MultiReader(bytes.NewReader(body), failingReader{failing}), nil); err == nil {
		t.Error("half an image was taken in")
	}
	images, err := w.Images(ctx)
	if err != nil || len(images) != 2 {
		t.Errorf("got %+v, %v", images, err)
	}
	if err := w.RemoveImage(ctx, "localhost:5000/a/b:1"); err != nil {
		t.Error(err)
	}
	wantCode(t, w.RemoveImage(ctx, "localhost:5000/a/b:1"), api.NotFound)
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

func TestSecrets(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	kept, err := w.PutSecret(ctx, api.Secret{Name: "db.pass", Data: map[string][]byte{"user": []byte("u"), "key": {0, 255}}})
	if err != nil || len(kept.Keys) != 2 || kept.Data != nil || kept.Type != api.SecretOpaque {
		t.Errorf("got %+v, %v", kept, err)
	}
	_, err = w.PutSecret(ctx, api.Secret{Name: "Bad", Data: map[string][]byte{"a": nil}})
	wantCode(t, err, api.Invalid)
	if secrets, err := w.Secrets(ctx); err != nil || len(secrets) != 1 {
		t.Errorf("got %+v, %v", secrets, err)
	}
	if err := w.RemoveSecret(ctx, "db.pass"); err != nil {
		t.Error(err)
	}
	wantCode(t, w.RemoveSecret(ctx, "db.pass"), api.NotFound)
}

func TestInfoAndVersion(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.create(t, "a")
	info, err := w.Info(ctx)
	if err != nil || info.Version != "v1.2.3" || info.Instances[api.PhaseRunning] != 1 {
		t.Errorf("got %+v, %v", info, err)
	}
	version, err := w.Version(ctx)
	if err != nil || version.Version != "v1.2.3" || version.API != "v1" {
		t.Errorf("got %+v, %v", version, err)
	}
}
