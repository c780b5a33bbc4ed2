package crun

import (
	"testing"

	"cis/internal/agent/runtime"
)

func TestStartAndExit(t *testing.T) {
	b := newBox(t, boxOptions{})
	b.Expect("echo hello; hostname; id -u", "hello\nweb\n0")
	for _, test := range []struct {
		script string
		want   runtime.Exit
	}{
		{"exit 0", runtime.Exit{}},
		{"exit 3", runtime.Exit{Code: 3}},
		{"sh -c 'kill -TERM $$'; exit $?", runtime.Exit{Code: 143}},
	} {
		if exit, _ := b.Run(test.script); exit != test.want {
			t.Errorf("%s: %+v, want %+v", test.script, exit, test.want)
		}
	}
}
