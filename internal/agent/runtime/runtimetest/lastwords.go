package runtimetest

import (
	"strings"
	"testing"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/lastwords"
)

// testLastWords: what a program writes into the file for them comes with its end.
func testLastWords(t *testing.T, newBox func(testing.TB, Options) *Box) {
	b := newBox(t, Options{Volumes: []agentpb.Volume{{Name: "data", SizeLimit: api.MiB}}})
	for _, test := range []struct {
		path, script, want string
		change             func(*agentpb.Container)
	}{
		{"/dev/termination-log", "echo why >/dev/termination-log; exit 3", "why\n", nil},
		{"/dev/termination-log", "cat /dev/termination-log", "", nil},
		{"/new/dir/log", "yes | head -c 5000 >/new/dir/log; echo end >>/new/dir/log; rm /new/dir/log; kill -9 $$", strings.Repeat("y\n", lastwords.Max/2-2) + "end\n", nil},
		{"/data/log", "echo in a volume >/data/log; echo no >/x", "in a volume\n", func(c *agentpb.Container) {
			c.ReadOnly, c.UID, c.GID = true, 1000, 1000
			c.Mounts = []agentpb.Mount{{Volume: "data", Path: "/data"}}
		}},
	} {
		c := b.Shell("main", test.script)
		c.MessagePath = test.path
		if test.change != nil {
			test.change(c)
		}
		if exit, output := b.RunContainer(c); exit.LastWords != test.want {
			t.Errorf("%s: %q, want %q (%s)", test.script, exit.LastWords, test.want, output)
		}
	}
}
