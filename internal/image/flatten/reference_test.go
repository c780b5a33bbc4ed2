package flatten

import (
	"archive/tar"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A file capability as setcap writes it: cap_net_raw=ep, version 2.
const netRaw = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

func with(f file, change func(*file)) file { change(&f); return f }

func xattr(f file, name, value string) file {
	return with(f, func(f *file) {
		if f.PAXRecords == nil {
			f.PAXRecords = map[string]string{}
		}
		f.PAXRecords[paxXattr+name] = value
	})
}

func mode(f file, m int64) file { return with(f, func(f *file) { f.Mode = m }) }
func owner(f file, uid, gid int) file {
	return with(f, func(f *file) { f.Uid, f.Gid = uid, gid })
}
func at(f file, sec, nsec int64) file {
	return with(f, func(f *file) { f.ModTime = time.Unix(sec, nsec) })
}
func device(name string, kind byte, major, minor int64) file {
	return file{tar.Header{Name: name, Typeflag: kind, Mode: 0o600, Devmajor: major, Devminor: minor}, ""}
}

// references are images that umoci and this package must unpack alike.
var references = map[string][][]file{
	"types": {{
		dir("./"), reg("file", "hello\n"), reg("empty", ""), symlink("rel", "file"), symlink("abs", "/etc/passwd"),
		symlink("dangling", "nowhere/at/all"), symlink("long", strings.Repeat("x/", 2000)+"y"),
		device("null", tar.TypeChar, 1, 3), device("big", tar.TypeBlock, 259, 70000), device("fifo", tar.TypeFifo, 0, 0),
		mode(reg("suid", "x"), 0o4755), mode(reg("sgid", "x"), 0o2711), mode(dir("sticky"), 0o1777), mode(reg("none", "x"), 0),
		owner(reg("owned", "x"), 1000, 100), owner(reg("large", "x"), 4_000_000_000, 3_999_999_999), owner(symlink("olink", "x"), 7, 8),
		at(reg("old", "x"), 1, 999_999_999), at(reg("new", "x"), 2_000_000_000, 1), at(reg("before 1970", "x"), -86400, 500_000_000),
		reg("block", strings.Repeat("b", 4096)), reg("block1", strings.Repeat("b", 4097)), reg("zeros", string(make([]byte, 3<<20))),
		reg("hole", "a"+string(make([]byte, 1<<20))+"b"),
	}},
	"root metadata": {{at(owner(mode(dir("./"), 0o700), 5, 6), 77, 0), reg("a", "a")}},
	"xattrs": {{
		xattr(mode(reg("ping", "elf"), 0o755), "security.capability", netRaw),
		xattr(xattr(reg("many", "x"), "user.a", "1"), "user.bb", strings.Repeat("v", 1000)),
		xattr(dir("d"), "user.dir", "yes"), reg("d/plain", "x"), xattr(reg("trusted", "x"), "trusted.some", "t"),
		xattr(reg("binary", "x"), "user.bin", "\x01\xff\x00z"),
	}},
	"names": {{
		dir(strings.Repeat("n", 255)), reg(strings.Repeat("n", 255)+"/"+strings.Repeat("f", 255), "deep"),
		reg("sp ace", ""), reg("new\nline", ""), reg("-dash", ""), reg("ünï", ""), reg("!before-dot", ""), reg(".hidden", ""), reg("..two", ""),
		reg("./dotted//x/../y", "y"),
	}},
	"hard links": {{
		dir("bin"), reg("bin/a", "one"), link("bin/b", "bin/a"), link("c", "./bin/b"), symlink("s", "x"), link("s2", "s"), device("dev", tar.TypeChar, 5, 1), link("dev2", "dev"),
	}},
	"hard link metadata": {{reg("a", "one"), at(owner(mode(link("b", "a"), 0o4700), 9, 9), 5, 5)}},
	"links across layers": {
		{reg("a", "one"), reg("x", "x")},
		{link("b", "a"), link("c", "b")},
		{reg("a", "two"), link("d", "b")},
	},
	"broken link group": {{reg("a", "one"), link("b", "a"), link("c", "a"), reg("a", "two")}},
	"whiteouts": {
		{dir("d"), reg("d/a", "a"), reg("d/b", "b"), reg("top", "t"), dir("e"), dir("e/f"), reg("e/f/g", "g")},
		{reg("d/.wh.a", ""), reg(".wh.top", ""), reg(".wh.e", ""), reg(".wh.missing", ""), reg("no/such/.wh.x", "")},
	},
	"opaque": {
		{dir("d"), reg("d/a", "a"), dir("d/s"), reg("d/s/b", "b"), reg("keep", "k")},
		{dir("d"), reg("d/.wh..wh..opq", ""), reg("d/new", "n")},
	},
	"opaque last": {
		{dir("d"), reg("d/a", "a"), dir("d/s"), reg("d/s/b", "b")},
		{dir("d"), reg("d/new", "n"), dir("d/s"), reg("d/s/c", "c"), reg("d/.wh..wh..opq", "")},
	},
	"whiteout and new": {
		{dir("d"), reg("d/a", "a"), reg("f", "1")},
		{reg(".wh.d", ""), dir("d"), reg("d/b", "b"), reg(".wh.f", ""), reg("f", "2")},
	},
	"directory to file and back": {
		{dir("x"), dir("x/y"), reg("x/y/z", "z"), reg("p", "p")},
		{reg("x", "file"), dir("p"), reg("p/q", "q")},
		{dir("x"), reg("x/new", "n"), symlink("p", "x")},
	},
	"directory metadata": {
		{owner(mode(dir("d"), 0o700), 1, 1), reg("d/a", "a")},
		{at(owner(mode(dir("d"), 0o2775), 2, 3), 42, 42)},
	},
	"through symlinks": {
		{dir("usr"), dir("usr/bin"), symlink("bin", "usr/bin"), symlink("abs", "/usr/bin"), symlink("up", "../../../usr")},
		{at(reg("bin/a", "a"), 3, 3), reg("abs/b", "b"), reg("up/bin/c", "c"), link("l", "bin/a"), reg("bin/.wh.none", "")},
		{reg("abs/.wh.b", ""), dir("usr"), dir("usr/bin")},
	},
	"climbing names": {{dir("d"), reg("../../etc/evil", "e"), reg("/abs/file", "f"), reg("d/../../x", "x"), symlink("out", "../../../../tmp"), link("hl", "../../../etc/evil"),
		dir("etc"), dir("abs"), dir("tmp"), reg("out/in-root", "r"), dir("tmp")}},
	"duplicates": {{reg("a", "1"), reg("a", "2"), dir("d"), reg("d/x", "x"), symlink("a", "d"), reg("d", "no longer"), dir("d")}},
	"symlink replaced by directory": {
		{dir("real"), reg("real/f", "f"), symlink("s", "real")},
		{dir("s"), reg("s/g", "g")},
	},
	"400 links":    {append([]file{dir("bin"), mode(reg("bin/busybox", "program"), 0o755)}, manyLinks(400)...), {link("bin/late", "bin/link399")}},
	"many entries": {manyEntries(5000)},
}

func manyEntries(n int) []file {
	files := []file{dir("many")}
	for i := range n {
		files = append(files, reg(fmt.Sprintf("many/%d-%s", i, strings.Repeat("n", i%50)), fmt.Sprint(i)))
	}
	return files
}

func manyLinks(n int) []file {
	var files []file
	for i := range n {
		files = append(files, link(fmt.Sprintf("bin/link%d", i), "bin/busybox"))
	}
	return files
}

func TestLikeUmoci(t *testing.T) {
	for name, image := range references {
		t.Run(name, func(t *testing.T) {
			var layers [][]byte
			for _, l := range image {
				layers = append(layers, archive(t, l...))
			}
			root, err := unpack(t, layers...)
			if err != nil {
				t.Fatal(err)
			}
			file, res := flatten(t, layers...)
			fsck(t, file, 0)
			if res.FullOffset != 0 {
				fsck(t, file, res.FullOffset)
			}
			same(t, snapshotImage(t, file, res.FullOffset, true), snapshot(t, root, true))
			same(t, snapshotImage(t, file, 0, false), snapshot(t, root, false))
		})
	}
}
