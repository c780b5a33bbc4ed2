package runsc

import (
	"archive/tar"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"cis/internal/agent/agentpb"
	"cis/internal/testbox"
)

// layer makes an upper layer over an image and lists its entries.
func layer(t *testing.T, image map[string]string, c *agentpb.Container) (map[string]*tar.Header, error) {
	t.Helper()
	file, err := os.Open(testbox.Erofs(t, image))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	upper, err := upperLayer(file, &agentpb.Workload{Hostname: "h"}, c)
	if err != nil {
		return nil, err
	}
	defer upper.Close()
	entries := map[string]*tar.Header{}
	for reader := tar.NewReader(upper); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			t.Fatal(err)
		}
		if entries[header.Name] != nil {
			t.Errorf("%s twice", header.Name)
		}
		entries[header.Name] = header
	}
}

func TestUpperLayer(t *testing.T) {
	for name, test := range map[string]struct {
		image map[string]string
		c     agentpb.Container
		want  string
	}{
		"empty image": {map[string]string{"x": ""}, agentpb.Container{},
			"./ ./dev/ ./etc/ ./etc/hostname ./etc/hosts ./etc/resolv.conf ./proc/ ./sys/ ./tmp/"},
		"usual image": {map[string]string{"dev/": "", "etc/": "", "proc/": "", "sys/": "", "tmp/": ""}, agentpb.Container{Cwd: "/"},
			"./ ./etc/ ./etc/hostname ./etc/hosts ./etc/resolv.conf"},
		"mount points": {map[string]string{"dev/": "", "etc/": "", "proc/": "", "sys/": "", "tmp/": "", "srv/": ""},
			agentpb.Container{Cwd: "/app/deep/", Mounts: []agentpb.Mount{{Path: "/srv/a/b"}, {Path: "/srv/a"}, {Path: "/etc/../../x"}}},
			"./ ./app/ ./app/deep/ ./etc/ ./etc/hostname ./etc/hosts ./etc/resolv.conf ./srv/ ./srv/a/ ./srv/a/b/ ./x/"},
		"symlinks": {map[string]string{"dev/": "", "proc/": "", "sys/": "", "tmp": "-> ../../../var/tmp", "etc": "-> usr/etc", "usr": "-> /System/./usr", "System/": ""}, agentpb.Container{},
			"./ ./System/ ./System/usr/ ./System/usr/etc/ ./System/usr/etc/hostname ./System/usr/etc/hosts ./System/usr/etc/resolv.conf ./var/ ./var/tmp/"},
	} {
		entries, err := layer(t, test.image, &test.c)
		if got := strings.Join(slices.Sorted(maps.Keys(entries)), " "); err != nil || got != test.want {
			t.Errorf("%s: %v\n got %s\nwant %s", name, err, got, test.want)
		}
	}
}

func TestUpperLayerKeepsAttributes(t *testing.T) {
	entries, err := layer(t, map[string]string{"tmp/": "", "etc/": ""}, &agentpb.Container{Mounts: []agentpb.Mount{{Path: "/tmp/x"}}})
	if err != nil || entries["./tmp/"].Mode != 0o1777 || entries["./tmp/x/"].Mode != 0o755 {
		t.Errorf("%+v %v", entries["./tmp/"], err)
	}
}

func TestUpperLayerRefuses(t *testing.T) {
	for name, image := range map[string]map[string]string{
		"a loop":        {"etc": "-> etc2", "etc2": "-> etc"},
		"a file at etc": {"etc": "a file"},
		"no image":      nil,
	} {
		if _, err := layer(t, image, &agentpb.Container{}); err == nil && image != nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestEssence(t *testing.T) {
	l := &sandboxLog{done: make(chan struct{})}
	close(l.done)
	l.add([]byte("one\ntwo\n\nthree\nfour\n{\"msg\":\"four\"}\n"))
	if got := l.wait(); got != "two; three; four" {
		t.Errorf("%q", got)
	}
	l.add([]byte("panic: broken\n\ngoroutine 1 [running]:\n"))
	l.add([]byte(strings.Repeat("stack\n", 10000)))
	if got := l.wait(); got != "panic: broken" || len(l.tail) > logTail {
		t.Errorf("%q", got)
	}
}

func FuzzCounter(f *testing.F) {
	f.Add("low 0\noom_kill 3\n")
	f.Add("oom_kill")
	f.Fuzz(func(t *testing.T, text string) {
		path := t.TempDir() + "/events"
		os.WriteFile(path, []byte(text), 0o600)
		counter(path, "oom_kill")
	})
}
