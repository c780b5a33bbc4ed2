package lastwords

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "message")
	if err := Make(path); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("%v %v", info, err)
	}
	for text, want := range map[string]string{"": "", "short": "short", strings.Repeat("a", 3) + strings.Repeat("b", Max): strings.Repeat("b", Max)} {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if got, err := Read(path); err != nil || got != want {
			t.Errorf("%.10q gave %.10q, %v", text, got, err)
		}
	}
	if _, err := Read(path + "x"); err == nil {
		t.Error("a file that is not there was read")
	}
}
