package api_test

import (
	"testing"

	"cis/api"
)

func TestSelector(t *testing.T) {
	labels := map[string]string{"app": "web", "tier": "front", "x.io/zone": "a", "empty": ""}
	tests := map[string]bool{
		"": true, " ": true, "app=web": true, "app==web": true, "app = web": true, "app=db": false,
		"app!=db": true, "app!=web": false, "none!=x": true, "app": true, "none": false,
		"!none": true, "! none": true, "!app": false, "app in (web,db)": true, "app in (db)": false,
		"app in ( web , db ),tier": true, "app notin (db, cache)": true, "app notin (web)": false,
		"none notin (a)": true, "none in (a)": false, "x.io/zone=a,app=web": true, "x.io/zone=a,app=db": false,
		"empty=": true, "empty": true, "app=": false, "in in (in)": false,
	}
	for text, want := range tests {
		s, err := api.ParseSelector(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := s.Matches(labels); got != want {
			t.Errorf("%q matches: %v, want %v", text, got, want)
		}
	}
}

func TestSelectorRefuses(t *testing.T) {
	for _, text := range []string{
		",", "a,", "=a", "!", "!!a", "a b", "a in", "a in b", "a in (b", "a in b)", "a within (b)", "a in (b) c",
		"a=b=c", "a=b c", "-a", "a/b/c", "a>1", "a in ((b))", "a=(b)",
	} {
		if s, err := api.ParseSelector(text); api.CodeOf(err) != api.Invalid {
			t.Errorf("%q is read as %q, %v", text, s, err)
		}
	}
}

func FuzzParseSelector(f *testing.F) {
	for _, s := range []string{"a=b", "a in (b,c),!d", "a notin ()", "x/y!=z", ",,", "a in (b"} {
		f.Add(s, "a", "b")
	}
	f.Fuzz(func(t *testing.T, text, key, value string) {
		s, err := api.ParseSelector(text)
		if err != nil {
			return
		}
		again, err := api.ParseSelector(s.String())
		if err != nil || again.String() != s.String() {
			t.Fatalf("%q prints as %q, which reads as %q, %v", text, s, again, err)
		}
		for _, labels := range []map[string]string{nil, {key: value}} {
			if s.Matches(labels) != again.Matches(labels) {
				t.Fatalf("%q and %q differ on %v", text, s, labels)
			}
		}
	})
}
