package account

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

func TestSealer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sealing.key")
	s, err := OpenSealer(path)
	if err != nil {
		t.Fatal(err)
	}
	sealed := s.Seal("AKID1", "secret")
	if again, err := OpenSealer(path); err != nil {
		t.Fatal(err)
	} else if got, err := again.Open("AKID1", sealed); got != "secret" || err != nil {
		t.Errorf("opened %q, %v", got, err)
	}
	if string(s.Seal("AKID1", "secret")) == string(sealed) {
		t.Error("one secret is sealed alike twice")
	}
	if _, err := s.Open("AKID2", sealed); err == nil {
		t.Error("a secret opens for another key")
	}
	for i := range sealed {
		changed := append([]byte(nil), sealed...)
		changed[i] ^= 1
		if _, err := s.Open("AKID1", changed); err == nil {
			t.Fatalf("a secret opens with byte %d changed", i)
		}
		if _, err := s.Open("AKID1", sealed[:i]); err == nil {
			t.Fatalf("a secret opens cut off at %d", i)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSealer(path); err == nil {
		t.Error("a damaged sealing key is taken")
	}
}

func TestRandom(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		s := Random("AKID", 32)
		if !regexp.MustCompile(`^AKID[A-Za-z0-9]{32}$`).MatchString(s) || seen[s] {
			t.Fatalf("made %q", s)
		}
		seen[s] = true
	}
}
