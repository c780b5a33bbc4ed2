package journal

import (
	"fmt"
	"testing"
	"time"
)

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{64, 4096, MaxData} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			j := create(b, 64<<20)
			data, at := make([]byte, size), time.Now()
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if err := j.Append(Stdout, at, data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func filled(b *testing.B, size int) *Journal {
	j := create(b, 64<<20)
	for j.End() < 60<<20 {
		if err := j.Append(Stdout, time.Now(), make([]byte, size)); err != nil {
			b.Fatal(err)
		}
	}
	return j
}

func BenchmarkRead(b *testing.B) {
	for _, size := range []int{64, 4096, MaxData} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			j := filled(b, size)
			b.SetBytes(j.End())
			b.ReportAllocs()
			for b.Loop() {
				for _, err := range j.All(0) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	j := filled(b, 80)
	for b.Loop() {
		again, err := Open(j.Path(), 64<<20)
		if err != nil {
			b.Fatal(err)
		}
		again.Close()
	}
}
