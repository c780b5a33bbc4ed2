package inside

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestFind(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"tool": 0o755, "text": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	env := []string{"HOME=/", "PATH=/nowhere:" + dir}
	for _, test := range []struct {
		name, want string
		err        error
	}{
		{"tool", dir + "/tool", nil},
		{"./any", "./any", nil},
		{"text", "", syscall.EACCES},
		{"sub", "", syscall.EACCES},
		{"none", "", syscall.ENOENT},
	} {
		if got, err := find(test.name, env); got != test.want || !errors.Is(err, test.err) {
			t.Errorf("%q: %q %v", test.name, got, err)
		}
	}
	if _, err := find("sh", nil); err != nil {
		t.Error(err)
	}
	t.Chdir(dir)
	if got, err := find("tool", []string{"PATH="}); got != "./tool" || err != nil {
		t.Errorf("an empty PATH is the directory one is in: %q %v", got, err)
	}
}
