package flatten

import (
	"archive/tar"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"
)

// Random layers over few names, so that they collide in every way, unpack as
// umoci unpacks them; what one refuses the other refuses.
func TestRandomLayersLikeUmoci(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	refusals := 0
	for i := range 80 {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		var layers [][]byte
		var said []string
		for n := range 1 + r.IntN(3) {
			files := randomLayer(r, n > 0)
			layers = append(layers, archive(t, files...))
			for _, f := range files {
				said = append(said, fmt.Sprintf("%d %c %s -> %s", n, f.Typeflag, f.Name, f.Linkname))
			}
		}
		image := filepath.Join(t.TempDir(), "rootfs.erofs")
		res, err := flattenTo(image, testLimits, layers...)
		root, refErr := unpack(t, layers...)
		switch {
		case (err == nil) != (refErr == nil):
			t.Errorf("this package: %v\numoci: %v", err, refErr)
		case err != nil:
			refusals++
		default:
			fsck(t, image, 0)
			same(t, snapshotImage(t, image, res.FullOffset, true), snapshot(t, root, true))
		}
		if t.Failed() {
			t.Fatalf("seed %d, image %d: %q", seed, i, said)
		}
	}
	if refusals > 75 {
		t.Errorf("%d of 80 random images were refused: too few were compared", refusals)
	}
}

// randomLayer makes a layer of up to 8 entries. Whiteouts come first, and hide
// only what nothing in the layer makes: umoci takes the order in the archive
// for the meaning, where the specification does not.
func randomLayer(r *rand.Rand, whiteouts bool) []file {
	name := func() string {
		s := string(rune('a' + r.IntN(4)))
		for r.IntN(2) == 0 && len(s) < 6 {
			s += "/" + string(rune('a'+r.IntN(4)))
		}
		return s
	}
	var files []file
	if whiteouts {
		for range r.IntN(4) {
			dir, base := filepath.Split(name())
			if r.IntN(3) == 0 {
				base = ".wh..opq"
			}
			files = append(files, reg(dir+whiteoutPrefix+base, ""))
		}
	}
	for i := range 1 + r.IntN(8) {
		n := name()
		var f file
		switch r.IntN(12) {
		case 0, 1, 2, 3, 4:
			f = dir(n)
		case 5:
			f = symlink(n, []string{"/", "..", "../../..", "", "/a/", "./"}[r.IntN(6)]+name())
		case 6:
			f = link(n, name())
		case 7:
			f = device(n, tar.TypeFifo, 0, 0)
		default:
			f = reg(n, fmt.Sprint(i, n))
		}
		f.Uid, f.ModTime = i, time.Unix(int64(1000+i), int64(i))
		if r.IntN(4) == 0 && f.Typeflag == tar.TypeReg {
			f = xattr(f, "user.n", fmt.Sprint(i))
		}
		files = append(files, f)
	}
	return files
}
