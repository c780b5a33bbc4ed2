package jail

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The test program is the jail's entrance too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Verb {
		cell, err := Parse(os.Args[1:])
		if err == nil {
			err = Enter(cell)
		}
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func inside(t *testing.T, script string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := Cell{Root: t.TempDir(), User: 0x70000001, Args: []string{"/bin/sh", "-c", script}}
	cmd := exec.Command(self, c.Command()...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: Namespaces}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Logf("%v", err)
	}
	return string(out)
}

func TestCell(t *testing.T) {
	for script, want := range map[string]string{
		"id -u":                  "1879048193",
		"id -G":                  "1879048193",
		"echo /*":                "/bin /dev /etc /lib /lib64 /proc /usr",
		"echo /dev/*":            "/dev/null /dev/urandom /dev/zero",
		"echo /etc/*":            "/etc/ld.so.cache",
		"echo $$":                "1",
		"echo /proc/[0-9]*":      "/proc/1",
		"ls /sys/class/net 2>&1": "ls: cannot access '/sys/class/net': No such file or directory",
		"grep -E 'Cap(Prm|Eff|Bnd|Amb)' /proc/self/status | grep -vc 0000000000000000": "0",
		"grep NoNewPrivs /proc/self/status | cut -f2":                                  "1",
		"touch /x 2>&1; touch /usr/x 2>&1; touch /tmp/x 2>&1 | grep -c No": "touch: cannot touch '/x': Read-only file system\n" +
			"touch: cannot touch '/usr/x': Read-only file system\n1",
	} {
		if got := strings.TrimSpace(inside(t, script)); got != want {
			t.Errorf("%s: %q, want %q", script, got, want)
		}
	}
}

func TestParse(t *testing.T) {
	c := Cell{Root: "/r", User: 7, KeepFiles: true, Args: []string{"/bin/x", "-a", "b c"}}
	got, err := Parse(c.Command())
	if err != nil || got.Root != c.Root || got.User != c.User || got.KeepFiles != c.KeepFiles || strings.Join(got.Args, "|") != strings.Join(c.Args, "|") {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range [][]string{nil, {"jail"}, {"jail", "/r", "0", "", "true", "x"}, {"jail", "/r", "me", "", "true", "x"}, {"jail", "/r", "1", "", "maybe", "x"},
		{"other", "/r", "1", "", "true", "x"}} {
		if _, err := Parse(bad); err == nil {
			t.Errorf("%q passed", bad)
		}
	}
}

func TestNothingIsLeft(t *testing.T) {
	inside(t, "true")
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || strings.Contains(string(mounts), "TestNothingIsLeft") {
		t.Errorf("%s %v", mounts, err)
	}
	var stat unix.Statfs_t
	if err := unix.Statfs("/usr", &stat); err != nil || stat.Flags&unix.ST_RDONLY != 0 {
		t.Errorf("the host's /usr: %+v %v", stat, err)
	}
}

// TestKeepFiles: a hole is made, it says, and the file has all it had.
func TestKeepFiles(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Chmod(0o666); err != nil {
		t.Fatal(err)
	}
	full := strings.Repeat("x", 8192)
	for keep, want := range map[bool]string{true: full, false: strings.Repeat("\x00", 4096) + full[:4096]} {
		if _, err := file.WriteAt([]byte(full), 0); err != nil {
			t.Fatal(err)
		}
		c := Cell{Root: t.TempDir(), User: 0x70000001, KeepFiles: keep, Args: []string{"/usr/bin/fallocate", "--punch-hole", "--length", "4096", "/proc/self/fd/3"}}
		cmd := exec.Command(self, c.Command()...)
		cmd.ExtraFiles = []*os.File{file}
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: Namespaces}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		got := make([]byte, len(full))
		if _, err := file.ReadAt(got, 0); err != nil || string(got) != want {
			t.Errorf("keep %v: %q %v", keep, got[:8], err)
		}
	}
}
