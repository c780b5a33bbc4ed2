package flatten

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// BenchmarkFlatten gives the speed in bytes of the uncompressed archive.
func BenchmarkFlatten(b *testing.B) {
	text := make([]byte, 64<<20)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range text {
		text[i] = "abcdefghijklmnop      "[r.IntN(22)]
	}
	var small []file
	for i := range 20_000 {
		small = append(small, reg(fmt.Sprintf("usr/share/%d/%d/file", i%100, i), string(text[i*100:i*100+2000])))
	}
	plain := map[string][]byte{"large": archive(b, reg("large", string(text))), "small": archive(b, small...)}
	for name, layer := range plain {
		var gz bytes.Buffer
		w := gzip.NewWriter(&gz)
		w.Write(layer)
		w.Close()
		enc, err := zstd.NewWriter(nil)
		if err != nil {
			b.Fatal(err)
		}
		for kind, packed := range map[string][]byte{"plain": layer, "gzip": gz.Bytes(), "zstd": enc.EncodeAll(layer, nil)} {
			b.Run(name+"/"+kind, func(b *testing.B) {
				b.SetBytes(int64(len(layer)))
				b.ReportAllocs()
				for range b.N {
					f, err := os.Create(filepath.Join(b.TempDir(), "x"))
					if err != nil {
						b.Fatal(err)
					}
					fl := New(f, testLimits)
					if _, err := fl.Layer(context.Background(), bytes.NewReader(packed)); err != nil {
						b.Fatal(err)
					}
					if _, err := fl.Finish(); err != nil {
						b.Fatal(err)
					}
					f.Close()
					os.Remove(f.Name())
				}
			})
		}
	}
}
