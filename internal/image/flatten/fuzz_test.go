package flatten

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"cis/api"
)

// Whatever a layer holds, it is refused as Invalid or gives a file system that
// erofs-utils find sound, and nothing appears beside it. Archives are large, so
// run it with -fuzzminimizetime=5x.
func FuzzLayer(f *testing.F) {
	for _, image := range references {
		if len(image[0]) > 100 {
			continue
		}
		f.Add(archive(f, image[0]...), archive(f, image[len(image)-1]...))
	}
	for _, c := range refused {
		if c.layers[0][0].Typeflag != 'Z' {
			f.Add(archive(f, c.layers[0]...), []byte{})
		}
	}
	f.Fuzz(func(t *testing.T, lower, upper []byte) {
		dir := t.TempDir()
		out, err := os.Create(filepath.Join(dir, "out"))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		fl := New(out, Limits{Bytes: 16 << 20, Entries: 1000})
		for _, layer := range [][]byte{lower, upper} {
			if _, err := fl.Layer(context.Background(), bytes.NewReader(layer)); err != nil {
				if _, ok := errors.AsType[*api.Error](err); !ok || api.CodeOf(err) != api.Invalid {
					t.Fatalf("the error is not Invalid: %v", err)
				}
				return
			}
		}
		res, err := fl.Finish()
		if err != nil {
			t.Fatalf("finish: %v", err)
		}
		if res.Size%4096 != 0 {
			t.Errorf("the size %d is not in blocks", res.Size)
		}
		if out, err := exec.Command("fsck.erofs", "--extract", out.Name()).CombinedOutput(); err != nil {
			t.Errorf("fsck: %v\n%s", err, out)
		}
		if list, _ := os.ReadDir(dir); len(list) != 1 {
			t.Errorf("files beside the image: %v", list)
		}
	})
}
