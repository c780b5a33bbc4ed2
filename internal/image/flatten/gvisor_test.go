package flatten

import (
	"archive/tar"
	"cmp"
	"crypto/md5"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cis/internal/testbox"
)

// runsc returns gVisor's runtime: CIS_RUNSC, or what PATH has.
func runsc(t testing.TB) string {
	t.Helper()
	p, err := exec.LookPath(cmp.Or(os.Getenv("CIS_RUNSC"), "runsc"))
	if err != nil {
		t.Fatalf("this test needs gVisor: set CIS_RUNSC to runsc's path: %v", err)
	}
	return p
}

// inGvisor runs a shell script in a sandbox whose root is the image, and
// returns its output.
func inGvisor(t testing.TB, image, script string) string {
	t.Helper()
	bundle := t.TempDir()
	if err := os.Mkdir(filepath.Join(bundle, "root"), 0o755); err != nil {
		t.Fatal(err)
	}
	spec, err := json.Marshal(map[string]any{
		"ociVersion": "1.0.0",
		"process":    map[string]any{"args": []string{"/bin/busybox", "sh", "-c", script}, "cwd": "/", "env": []string{"PATH=/bin"}},
		"root":       map[string]any{"path": "root"},
		"annotations": map[string]string{
			"dev.gvisor.spec.rootfs.source": image, "dev.gvisor.spec.rootfs.type": "erofs", "dev.gvisor.spec.rootfs.overlay": "memory"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), spec, 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(runsc(t), "--root="+t.TempDir(), "--platform=systrap", "--network=none", "--ignore-cgroups",
		"run", "--bundle="+bundle, "image-test-"+filepath.Base(filepath.Dir(bundle))+filepath.Base(bundle)).CombinedOutput()
	if err != nil {
		t.Fatalf("runsc: %v\n%s", err, out)
	}
	return string(out)
}

// gVisor does not show an EROFS device node's number, so that its overlay takes
// character devices for whiteouts: they are missing inside. Programs see the
// sandbox's own /dev.
func TestGvisorReadsEverything(t *testing.T) {
	busybox, err := os.ReadFile(testbox.Busybox(t))
	if err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("0123456789abcdef", 1<<16)
	files := []file{
		dir("./"), dir("bin"), mode(reg("bin/busybox", string(busybox)), 0o755), link("bin/sh", "bin/busybox"),
		dir("a"), reg("a/empty", ""), reg("a/small", "small\n"), link("a/linked", "a/small"),
		symlink("a/abs", "/a/small"), symlink("a/rel", "small"), symlink("a/long", strings.Repeat("./", 2030)+"small"),
		xattr(xattr(reg("a/caps", "with attributes\n"), "security.capability", netRaw), "user.x", "y"), xattr(dir("a/xdir"), "user.x", "y"),
		mode(reg("a/suid", "s"), 0o4755), owner(reg("a/owned", "o"), 70000, 80000), device("a/fifo", tar.TypeFifo, 0, 0), device("a/dev", tar.TypeChar, 1, 3),
		reg("a/big", big), reg("a/zeros", string(make([]byte, 1<<20))), mode(dir("proc"), 0o555), dir("dev"), dir("sys"), dir("tmp"),
	}
	files = append(files, manyEntries(500)...)
	image, res := flatten(t, archive(t, files...))
	if res.FullOffset == 0 {
		t.Error("the image has attributes but no second file system")
	}
	got := inGvisor(t, image, `cd /a
stat -c '%n %F %a %u:%g %h %Y' empty small linked abs rel caps suid owned fifo
cat small linked abs rel long caps
wc -c < empty; md5sum < big; md5sum < zeros
[ "$(stat -c %i small)" = "$(stat -c %i linked)" ] && echo one inode
ls /many | wc -l; cat /many/* | wc -c
echo written > small && cat small`)
	want := `empty regular empty file 644 0:0 1 1600000000
small regular file 644 0:0 2 1600000000
linked regular file 644 0:0 2 1600000000
abs symbolic link 777 0:0 1 1600000000
rel symbolic link 777 0:0 1 1600000000
caps regular file 644 0:0 1 1600000000
suid regular file 4755 0:0 1 1600000000
owned regular file 644 70000:80000 1 1600000000
fifo fifo 600 0:0 1 1600000000
small
small
small
small
small
with attributes
0
` + fmt.Sprintf("%x", md5.Sum([]byte(big))) + `  -
b6d81b360a5672d80c27430f39153e2c  -
one inode
500
1390
written
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
