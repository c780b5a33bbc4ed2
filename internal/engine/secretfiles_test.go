package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cis/api"
	"cis/internal/account"
)

// shows waits until a volume of the only sandbox has these files.
func (b *bench) shows(volume, want string) {
	b.t.Helper()
	var got string
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		var files []string
		for _, f := range b.host.only(b.t).Volume(volume) {
			files = append(files, fmt.Sprintf("%s=%s %o", f.Path, f.Data, f.Mode))
		}
		if got = strings.Join(files, ", "); got == want {
			return
		}
	}
	b.t.Errorf("volume %s shows %q, not %q", volume, got, want)
}

func (b *bench) put(name string, pairs ...string) {
	b.t.Helper()
	s := api.Secret{Name: name, Data: map[string][]byte{}}
	for i := 0; i < len(pairs); i += 2 {
		s.Data[pairs[i]] = []byte(pairs[i+1])
	}
	if _, err := b.PutSecret(b.t.Context(), s); err != nil {
		b.t.Fatal(err)
	}
}

func TestFilesFollowSecrets(t *testing.T) {
	b := newBench(t)
	b.put("s", "a", "1", "b", "2")
	b.put("empty")
	req := request("x", "sleep")
	req.Volumes = []api.Volume{
		{Name: "all", Secret: &api.SecretVolume{SecretName: "s"}},
		{Name: "items", Secret: &api.SecretVolume{SecretName: "s", DefaultMode: "0440", Items: []api.KeyToPath{{Key: "a", Path: "d/a"}}}},
		{Name: "more", Projected: &api.ProjectedVolume{Sources: []api.VolumeProjection{
			{Secret: &api.SecretProjection{Name: "s"}},
			{Secret: &api.SecretProjection{Name: "later", Optional: true, Items: []api.KeyToPath{{Key: "k", Path: "b", Mode: "0600"}}}},
			{Secret: &api.SecretProjection{Name: "empty"}}}}},
	}
	req.Default(api.Defaults{})
	b.create(req)
	b.untilRunning("x")
	b.shows("all", "a=1 400, b=2 400")
	b.shows("items", "d/a=1 440")
	b.shows("more", "a=1 400, b=2 400")

	b.put("s", "a", "3", "c", "4")
	b.shows("all", "a=3 400, c=4 400")
	b.shows("items", "d/a=3 440")
	b.put("later", "k", "5")
	b.shows("more", "a=3 400, b=5 600, c=4 400")

	// A volume that needs a key which is gone stays as it is, and says so.
	b.put("s", "c", "6")
	b.shows("all", "c=6 400")
	b.shows("items", "d/a=3 440")
	b.put("s", "a", "7")
	b.shows("items", "d/a=7 440")

	// What changes while cisd is away.
	b.Engine.Close()
	changed := api.Secret{Name: "s", Type: api.SecretOpaque, Data: map[string][]byte{"a": []byte("8")}}
	if err := b.store.PutSecret(t.Context(), account.Of(t.Context()).Account, changed); err != nil {
		t.Fatal(err)
	}
	b.reopen()
	b.shows("all", "a=8 400")
	b.put("s", "a", "9")
	b.shows("all", "a=9 400")
	b.remove("x", true)
	b.untilClean()
}

func TestFilesThatCannotBe(t *testing.T) {
	b := newBench(t)
	b.put("s", "a", strings.Repeat("x", 600<<10))
	create := func(name, path string) {
		req := request(name, "sleep")
		req.Volumes = []api.Volume{{Name: "v", Projected: &api.ProjectedVolume{Sources: []api.VolumeProjection{
			{Secret: &api.SecretProjection{Name: "s"}}, {Secret: &api.SecretProjection{Name: "s", Items: []api.KeyToPath{{Key: "a", Path: path}}}}}}}}
		req.Default(api.Defaults{})
		b.create(req)
	}
	create("x", "b")
	if end := b.untilFinished("x"); end.Status.Reason != api.ReasonCreateError || !strings.Contains(end.Status.Message, "at most 1Mi") {
		t.Errorf("%+v", end.Status)
	}
	b.put("s", "a", "1")
	create("y", "a/b")
	if end := b.untilFinished("y"); !strings.Contains(end.Status.Message, `"a"`) {
		t.Errorf("%+v", end.Status)
	}
}
