// Package testbox makes what the tests of sandboxes need: programs of this
// module, a small image, network namespaces. Everything is gone after the test.
package testbox

import (
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	erofs "github.com/erofs/go-erofs"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"cis/internal/osthread"
)

// moduleRoot finds the folder with go.mod above the test's.
func moduleRoot(t testing.TB) string {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for dir != "/" {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	t.Fatal("no go.mod above the test")
	return ""
}

// Runsc is the path of the pinned runsc: $CIS_RUNSC, else bin/runsc of the module.
func Runsc(t testing.TB) string {
	path := os.Getenv("CIS_RUNSC")
	if path == "" {
		path = filepath.Join(moduleRoot(t), "bin", "runsc")
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the tests need the pinned runsc: %v", err)
	}
	return path
}

// Busybox is the path of a static busybox: bin/busybox of the module, where
// scripts/packages puts it, else /bin/busybox.
func Busybox(t testing.TB) string {
	for _, path := range []string{filepath.Join(moduleRoot(t), "bin", "busybox"), "/bin/busybox"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Fatal("the tests need the busybox of Debian's package busybox-static: scripts/packages up")
	return ""
}

// GuestKernel is the directory with the kernel of microVMs, vmlinuz, and its modules.
func GuestKernel(t testing.TB) string {
	dir := filepath.Join(moduleRoot(t), "bin", "guest")
	if _, err := os.Stat(filepath.Join(dir, "vmlinuz")); err != nil {
		t.Fatalf("the tests need a kernel for microVMs, which scripts/packages up takes: %v", err)
	}
	return dir
}

// Dir makes a directory with a path short enough for unix sockets.
func Dir(t testing.TB) string {
	dir, err := os.MkdirTemp("/tmp", "cis")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

var builds sync.Mutex

// Program builds a command of this module, such as "cis-pause", statically.
func Program(t testing.TB, name string) string {
	builds.Lock()
	defer builds.Unlock()
	path := filepath.Join(t.TempDir(), name)
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "./cmd/"+name)
	build.Dir, build.Env = moduleRoot(t), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	return path
}

// applets are the names under which the image has busybox.
var applets = strings.Fields("awk cat chmod cp cut date dd df dmesg echo env expr false find free grep head hostname httpd id " +
	"ip kill killall ln ls md5sum mkdir mknod mount nc nproc nslookup ping printf ps pwd rm sed seq sh sleep sort " +
	"stat stty sync tail tar tee test timeout touch tr true tty umount uname usleep wc wget whoami yes")

// Image writes an EROFS file with Debian's static busybox. Extra entries are
// files; a content that begins with "-> " makes a symlink, a name that ends with a
// slash a directory. A name from the base set (etc/hosts) is replaced.
func Image(t testing.TB, extra map[string]string) string {
	busybox, err := os.ReadFile(Busybox(t))
	if err != nil {
		t.Fatal(err)
	}
	entries := map[string]string{
		"bin/": "", "etc/": "", "dev/": "", "proc/": "", "sys/": "", "tmp/": "",
		"bin/busybox": string(busybox),
		"etc/passwd":  "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n",
		"etc/hosts":   "127.0.0.1 image\n",
	}
	for _, applet := range applets {
		entries["bin/"+applet] = "-> busybox"
	}
	for name, content := range extra {
		entries[name] = content
	}
	return Erofs(t, entries)
}

// Erofs writes an EROFS file of entries as in Image; content "!" leaves one out.
func Erofs(t testing.TB, entries map[string]string) string {
	path := filepath.Join(t.TempDir(), "image.erofs")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w := erofs.Create(out)
	// In order, directories come before what is in them.
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		content := entries[name]
		if content == "!" {
			continue
		}
		if err := add(w, name, content); err != nil {
			t.Fatalf("image entry %s: %v", name, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func add(w *erofs.Writer, name, content string) error {
	at := "/" + strings.TrimSuffix(name, "/")
	if target, ok := strings.CutPrefix(content, "-> "); ok {
		return w.Symlink(target, at)
	}
	mode := os.FileMode(0o644)
	switch {
	case name == "tmp/":
		mode = os.ModeDir | os.ModeSticky | 0o777
	case strings.HasSuffix(name, "/"):
		mode = os.ModeDir | 0o755
	case strings.HasPrefix(name, "bin/"):
		mode = 0o755
	}
	if mode.IsDir() {
		if err := w.Mkdir(at, mode.Perm()); err != nil {
			return err
		}
		return w.Chmod(at, mode)
	}
	file, err := w.Create(at)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(file, content); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return w.Chmod(at, mode)
}

func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// NetNS makes a network namespace, with its loopback up, that lives as long as the test; setup, if any,
// runs in it. It returns a path that opens the namespace.
func NetNS(t testing.TB, setup func() error) string {
	var file *os.File
	err := osthread.Do(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		var err error
		if file, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return err
		}
		if err := loopbackUp(); err != nil || setup == nil {
			return err
		}
		return setup()
	})
	if err != nil {
		t.Fatalf("make a network namespace: %v", err)
	}
	t.Cleanup(func() { file.Close() })
	return filepath.Join("/proc", strconv.Itoa(os.Getpid()), "fd", strconv.Itoa(int(file.Fd())))
}
