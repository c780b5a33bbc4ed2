package initramfs

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cis/internal/testbox"
)

func content(t *testing.T) Content {
	return Content{Agent: testbox.Program(t, "cis-agent"), Tool: testbox.Program(t, "cis-pause"),
		ModulesFrom: filepath.Join(testbox.GuestKernel(t), "modules")}
}

// TestArchive: another reader of the format finds the programs, what they load, and
// the modules in an order in which they can be loaded.
func TestArchive(t *testing.T) {
	c := content(t)
	var archive, again bytes.Buffer
	for _, to := range []*bytes.Buffer{&archive, &again} {
		if err := Write(to, c); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(archive.Bytes(), again.Bytes()) {
		t.Error("the same content gives other bytes")
	}
	list := exec.Command(testbox.Busybox(t), "cpio", "-t")
	list.Stdin = &archive
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Fields(string(out))
	for _, name := range []string{"init", "bin/cis-pause", "proc"} {
		if !slices.Contains(names, name) {
			t.Errorf("no %s in %v", name, names)
		}
	}
	index := func(module string) int {
		return slices.IndexFunc(names, func(name string) bool { return strings.HasSuffix(name, "-"+module+".ko") })
	}
	for _, needs := range [][2]string{{"virtio", "virtio_ring"}, {"virtio_ring", "virtio_mmio"}, {"virtio", "virtio_blk"}} {
		if first, second := index(needs[0]), index(needs[1]); first < 0 || second < first {
			t.Errorf("%s at %d, %s at %d", needs[0], first, needs[1], second)
		}
	}
}

func TestUnsigned(t *testing.T) {
	info := func(size byte) string { return "\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00" + string([]byte{size}) }
	for module, want := range map[string]string{
		"code":                                   "code",
		"code" + "sig" + info(3) + signatureMark: "code",
		"code" + info(200) + signatureMark:       "code" + info(200) + signatureMark,
		"short" + signatureMark:                  "short" + signatureMark,
		"sig" + info(3) + signatureMark:          "",
	} {
		if got := string(unsigned([]byte(module))); got != want {
			t.Errorf("%q: %q, want %q", module, got, want)
		}
	}
}

func TestMissing(t *testing.T) {
	for name, spoil := range map[string]func(*Content){
		"agent":   func(c *Content) { c.Agent = "/nowhere" },
		"modules": func(c *Content) { c.ModulesFrom = t.TempDir() },
	} {
		c := content(t)
		spoil(&c)
		if err := Write(&bytes.Buffer{}, c); err == nil {
			t.Errorf("an archive without %s", name)
		} else {
			t.Log(err)
		}
	}
}

// TestImage: the image has the NFS client with what that depends on, and is a file system.
func TestImage(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "nfs.erofs"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := WriteImage(file, content(t).ModulesFrom, NFSModules); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("fsck.erofs", file.Name()).CombinedOutput(); err != nil {
		t.Errorf("fsck.erofs: %v\n%s", err, out)
	}
	modules, err := readModules(content(t).ModulesFrom, NFSModules)
	if err != nil {
		t.Fatal(err)
	}
	names := ""
	for _, m := range modules {
		names += " " + m.name
	}
	for _, module := range []string{"sunrpc", "lockd", "nfs", "nfsv3", "nfsv4", "dns_resolver"} {
		if !strings.Contains(names, "-"+module+".ko") {
			t.Errorf("no %s in %s", module, names)
		}
	}
	if strings.Contains(names, "auth_rpcgss") {
		t.Errorf("%s: mounts would wait for a daemon of Kerberos'", names)
	}
	info, err := file.Stat()
	if err == nil {
		t.Logf("%d bytes: %s", info.Size(), names)
	}
	if err := WriteImage(file, t.TempDir(), NFSModules); err == nil {
		t.Error("an image without modules")
	}
}
