package server

import (
	"syscall"
	"testing"
	"time"

	"cis/api"
)

func TestParams(t *testing.T) {
	params := []Param{graceParam("x"), sinceParam(), tailParam(), signalParam(), boolParam("b", "x"), envParam(), stringParam("s", "x").repeated()}
	given, err := parseQuery("grace=1500ms&since=2030-01-02T03:04:05.6Z&tail=all&signal=hup&b&env=A%3Db%3Dc&env=B%3D&s=&s=a%20b", params)
	if err != nil {
		t.Fatal(err)
	}
	if d := grace(given); d == nil || *d != 1500*time.Millisecond {
		t.Errorf("grace is %v", d)
	}
	if at := arg[time.Time](given, "since"); !at.Equal(time.Date(2030, 1, 2, 3, 4, 5, 6e8, time.UTC)) {
		t.Errorf("since is %v", at)
	}
	if arg[int](given, "tail") != -1 || arg[syscall.Signal](given, "signal") != syscall.SIGHUP || !arg[bool](given, "b") {
		t.Errorf("got %v", given)
	}
	env, words := args[api.EnvVar](given, "env"), args[string](given, "s")
	if len(env) != 2 || env[0] != (api.EnvVar{Name: "A", Value: "b=c"}) || len(words) != 2 || words[1] != "a b" {
		t.Errorf("got %v, %q", env, words)
	}
	for text, want := range map[string]time.Duration{"grace=10": 10 * time.Second, "grace=0": 0, "grace=1m": time.Minute} {
		given, err := parseQuery(text, params)
		if d := grace(given); err != nil || d == nil || *d != want {
			t.Errorf("%s is %v, %v", text, d, err)
		}
	}
	if given, _ := parseQuery("", params); grace(given) != nil || args[string](given, "s") == nil {
		t.Errorf("nothing gives %v", given)
	}
	given, _ = parseQuery("since=10m", params)
	if ago := time.Since(arg[time.Time](given, "since")); ago < 10*time.Minute || ago > 11*time.Minute {
		t.Errorf("since is %v ago", ago)
	}
}

func FuzzQuery(f *testing.F) {
	f.Add("limit=1&selector=a%20in%20(b)&phase=Running&watch")
	f.Add("grace=1h&signal=9&tail=3&since=10m&port=80&path=/a&command=a&env=a=b")
	f.Add("%zz&a=;&limit=-9223372036854775809")
	routes := Routes()
	f.Fuzz(func(t *testing.T, raw string) {
		for _, r := range routes {
			given, err := parseQuery(raw, r.Query)
			if err != nil && api.CodeOf(err) != api.Invalid {
				t.Fatalf("%s: %v", r.Name, err)
			}
			if d := grace(given); err == nil && d != nil && (*d < 0 || *d > time.Hour) {
				t.Fatalf("%q gives a grace of %v", raw, *d)
			}
		}
	})
}
