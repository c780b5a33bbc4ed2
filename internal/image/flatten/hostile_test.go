package flatten

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"cis/api"
)

// refused are images that no file system could hold, or that no builder makes.
// umoci is set where it fails on them as well; elsewhere the reference would
// take them, and this package is the stricter.
var refused = map[string]struct {
	layers [][]file
	words  string
	umoci  bool
}{
	"link to nothing":             {[][]file{{link("a", "none")}}, "does not exist", true},
	"link to itself":              {[][]file{{reg("a", "x"), link("a", "a")}}, "does not exist", true},
	"link out of the tree":        {[][]file{{link("a", "../../../../../etc/hostname")}}, "does not exist", true},
	"link through a symlink":      {[][]file{{symlink("up", "../../../.."), link("a", "up/etc/hostname")}}, "does not exist", true},
	"absolute link":               {[][]file{{link("a", "/etc/hostname")}}, "does not exist", true},
	"link to a directory":         {[][]file{{dir("d"), link("a", "d")}}, "directory", true},
	"link to the root":            {[][]file{{link("a", "/")}}, "does not exist", false},
	"link to what it replaces":    {[][]file{{dir("d"), reg("d/f", "x"), link("d", "d/f")}}, "does not exist", true},
	"file below a file":           {[][]file{{reg("a", "x"), reg("a/b", "y")}}, "not a directory", true},
	"file below a device":         {[][]file{{device("a", tar.TypeFifo, 0, 0), reg("a/b", "y")}}, "not a directory", true},
	"the root as a file":          {[][]file{{reg(".", "x")}}, "root", true},
	"the root as a symlink":       {[][]file{{symlink("/", "/etc")}}, "root", true},
	"the root as a link":          {[][]file{{reg("a", "x"), link(".", "a")}}, "root", true},
	"long name":                   {[][]file{{reg(strings.Repeat("n", 256), "x")}}, "255", true},
	"long directory name":         {[][]file{{reg(strings.Repeat("n", 256)+"/x", "x")}}, "255", true},
	"long path":                   {[][]file{{reg(strings.Repeat("abcdefgh/", 600)+"x", "x")}}, "4095", true},
	"long link name":              {[][]file{{reg("a", ""), link("b", strings.Repeat("n", 256))}}, "255", true},
	"long symlink":                {[][]file{{symlink("a", strings.Repeat("x", 5000))}}, "too long", true},
	"symlink loop":                {[][]file{{symlink("a", "b"), symlink("b", "a"), reg("a/x", "x")}}, "symbolic links", true},
	"long name through a symlink": {[][]file{{symlink("a", "d/"+strings.Repeat("n", 256)), reg("a/x", "x")}}, "255", true},
	"empty whiteout":              {[][]file{{reg(".wh.", "")}}, "names no file", false},
	"whiteout of the directory":   {[][]file{{dir("d"), reg("d/.wh..", "")}}, "names no file", false},
	"whiteout of the parent":      {[][]file{{dir("d"), reg("d/.wh...", "")}}, "names no file", false},
	"file below a whiteout":       {[][]file{{reg(".wh.d/x", "")}}, "whiteout", false},
	"negative owner":              {[][]file{{owner(reg("a", ""), -2, 0)}}, "owner", false},
	"owner too large":             {[][]file{{owner(reg("a", ""), 0, 1<<33)}}, "owner", false},
	"device number":               {[][]file{{device("a", tar.TypeChar, 1<<13, 0)}}, "device number", false},
	"attribute too large":         {[][]file{{xattr(reg("a", ""), "user.x", strings.Repeat("v", 70_000))}}, "attribute", true},
	"attribute name":              {[][]file{{xattr(reg("a", ""), "user."+strings.Repeat("n", 300), "v")}}, "attribute", true},
	"unknown type":                {[][]file{{file{tar.Header{Name: "a", Typeflag: 'Z'}, ""}}}, "type", false},
}

func TestRefused(t *testing.T) {
	for name, c := range refused {
		t.Run(name, func(t *testing.T) {
			var layers [][]byte
			for _, l := range c.layers {
				layers = append(layers, archive(t, l...))
			}
			_, err := flattenTo(filepath.Join(t.TempDir(), "x"), testLimits, layers...)
			wantInvalid(t, err, c.words)
			if c.umoci {
				if _, err := unpack(t, layers...); err == nil {
					t.Error("umoci takes it")
				}
			}
		})
	}
}

func wantInvalid(t *testing.T, err error, words string) {
	t.Helper()
	if api.CodeOf(err) != api.Invalid || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v, want an invalid layer that says %q", err, words)
	}
}

// header returns the raw block of a header, for what archive/tar would not write.
func header(change func(b []byte)) []byte {
	b := make([]byte, 512)
	copy(b, "name")
	copy(b[100:], "0000644\x000000000\x000000000\x0000000000000\x0000000000000\x00")
	b[156] = '0'
	copy(b[257:], "ustar\x0000")
	change(b)
	sum := 256
	for i, c := range b {
		if i < 148 || i >= 156 {
			sum += int(c)
		}
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return append(b, make([]byte, 1024)...)
}

func TestRawHeaders(t *testing.T) {
	for name, layer := range map[string][]byte{
		"negative size": header(func(b []byte) { copy(b[124:], "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe") }),
		"absurd size":   header(func(b []byte) { copy(b[124:], "\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff") }),
		"large size":    header(func(b []byte) { copy(b[124:], "77777777777\x00") }),
		"bad checksum":  append([]byte("x"), header(func([]byte) {})[1:]...),
		"cut header":    header(func([]byte) {})[:300],
		"cut file":      header(func(b []byte) { copy(b[124:], "00000001000\x00") })[:700],
		"long PAX":      header(func(b []byte) { b[156] = 'x'; copy(b[124:], "77777777777\x00") }),
		"not a tar":     []byte(strings.Repeat("no tar at all ", 100)),
		"bad gzip":      []byte("\x1f\x8b\x08garbage garbage garbage"),
		"bad zstd":      []byte("\x28\xb5\x2f\xfdgarbage garbage garbage"),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := flattenTo(filepath.Join(t.TempDir(), "x"), testLimits, layer)
			wantInvalid(t, err, "")
		})
	}
}

func TestLimits(t *testing.T) {
	var bomb bytes.Buffer
	w, _ := gzip.NewWriterLevel(&bomb, gzip.BestCompression)
	w.Write(archive(t, reg("a", "x"))[:1024])
	zeros := make([]byte, 1<<20)
	for range 64 {
		w.Write(zeros) // after the archive's end
	}
	w.Close()
	sparse := header(func(b []byte) { // an old GNU sparse file of 8 GiB without data
		b[156] = 'S'
		copy(b[257:], "ustar  \x00")
		copy(b[483:], "77777777777\x00")
	})
	attrs := make([]file, 600)
	for i := range attrs {
		attrs[i] = xattr(reg(fmt.Sprint(i), ""), "user.x", strings.Repeat("v", 60_000))
	}
	limits := Limits{Bytes: 32 << 20, Entries: 1000}
	for name, c := range map[string]struct {
		layers [][]byte
		words  string
	}{
		"bomb":           {[][]byte{bomb.Bytes()}, "unpacks to more than"},
		"sparse bomb":    {[][]byte{sparse}, "unpacks to more than"},
		"many files":     {[][]byte{archive(t, manyEntries(1000)...)}, "more than 1000 files"},
		"over layers":    {[][]byte{archive(t, reg("a", string(make([]byte, 20<<20)))), archive(t, reg("a", string(make([]byte, 20<<20))))}, "unpacks to more than"},
		"attribute bomb": {[][]byte{archive(t, attrs...)}, "unpacks to more than"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := flattenTo(filepath.Join(t.TempDir(), "x"), limits, c.layers...)
			wantInvalid(t, err, c.words)
		})
	}
	if _, err := flattenTo(filepath.Join(t.TempDir(), "x"), Limits{Bytes: math.MaxInt64, Entries: 10}, archive(t, reg("a", "x"))); err != nil {
		t.Errorf("the largest limit: %v", err)
	}
}

// Deep trees through symlinks end, whatever the number of entries.
func TestPathSteps(t *testing.T) {
	deep := strings.Repeat("d/", 1500)
	files := []file{symlink("l", deep)}
	for i := range 3000 {
		files = append(files, reg(fmt.Sprintf("l/%d", i), ""))
	}
	_, err := flattenTo(filepath.Join(t.TempDir(), "x"), Limits{Bytes: 1 << 30, Entries: 3001}, archive(t, files...))
	wantInvalid(t, err, "too long to follow")
}

func TestCancel(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = New(f, testLimits).Layer(ctx, bytes.NewReader(archive(t, reg("a", "x"))))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// A full disk is not the layer's fault.
func TestDiskFull(t *testing.T) {
	f, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fl := New(f, testLimits)
	_, err = fl.Layer(context.Background(), bytes.NewReader(archive(t, reg("a", strings.Repeat("x", 4<<20)))))
	if !errors.Is(err, syscall.ENOSPC) || api.CodeOf(err) == api.Invalid {
		t.Errorf("got %v", err)
	}
}
