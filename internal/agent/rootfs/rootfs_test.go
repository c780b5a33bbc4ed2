package rootfs

import (
	"io/fs"
	"strings"
	"testing"

	"cis/internal/agent/agentpb"
)

func TestEtc(t *testing.T) {
	files := Etc(&agentpb.Workload{Hostname: "web", Address: "10.1.2.3", Address6: "fd00::3",
		Nameservers: []string{"10.1.0.2"}, Searches: []string{"a", "b"}, ResolverOptions: []string{"ndots:2", "edns0"}})
	want := []File{
		{"hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n10.1.2.3\tweb\nfd00::3\tweb\n"},
		{"hostname", "web\n"},
		{"resolv.conf", "search a b\nnameserver 10.1.0.2\noptions ndots:2 edns0\n"},
	}
	for i, file := range files {
		if file != want[i] {
			t.Errorf("%q, want %q", file, want[i])
		}
	}
}

func TestNamesInHosts(t *testing.T) {
	hosts := Etc(&agentpb.Workload{Hostname: "web.a.test", Names: []string{"web.a.test", "web"}, Address: "10.1.2.3"})[0].Content
	if !strings.HasSuffix(hosts, "\n10.1.2.3\tweb.a.test\tweb\n") {
		t.Errorf("%q", hosts)
	}
}

// FuzzResolve: whatever symlinks say, the answer is a clean path within the image.
func FuzzResolve(f *testing.F) {
	f.Add("../../a", "/b/../..", "a/b")
	f.Add("b", "a", "a")
	f.Add("/", ".", "b/..")
	f.Fuzz(func(t *testing.T, a, b, name string) {
		got, err := Resolve(links{"a": a, "b": b}, name)
		if err == nil && (got == ".." || strings.HasPrefix(got, "../") || strings.HasPrefix(got, "/")) {
			t.Errorf("%q with a=%q b=%q gives %q", name, a, b, got)
		}
	})
}

// links is an image of nothing but symlinks.
type links map[string]string

func (l links) Open(string) (fs.File, error) { return nil, fs.ErrNotExist }
func (l links) ReadLink(name string) (string, error) {
	if target, ok := l[name]; ok && target != "" {
		return target, nil
	}
	return "", fs.ErrNotExist
}
func (l links) Lstat(name string) (fs.FileInfo, error) {
	if _, err := l.ReadLink(name); err != nil {
		return nil, err
	}
	return linkInfo{}, nil
}

type linkInfo struct{ fs.FileInfo }

func (linkInfo) Mode() fs.FileMode { return fs.ModeSymlink | 0o777 }

var _ fs.ReadLinkFS = links{}
