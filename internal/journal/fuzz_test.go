package journal

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Whatever a file holds, opening and reading end, and what comes out is in order.
func FuzzReader(f *testing.F) {
	rec := appendRecord(nil, Stdout, time.Unix(1, 0), []byte("hello\n"))
	f.Add(rec, uint16(0))
	f.Add(append(make([]byte, 5000), rec...), uint16(3))
	f.Add(append(rec[:len(rec):len(rec)], magic, 2, 0xff, 0xff), uint16(18))
	f.Add(append(rec[:len(rec):len(rec)], magic), uint16(1))
	f.Fuzz(func(t *testing.T, data []byte, at uint16) {
		path := filepath.Join(t.TempDir(), "j")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := Open(path, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		readAll(t, j, 0, nil)
		if err := j.Append(Stderr, time.Now(), []byte("more")); err != nil {
			t.Fatal(err)
		}
		readAll(t, j, 0, nil)
		j.Tail(int(at))
		j.Since(time.Unix(int64(at), 0))

		// The same bytes written under an open journal, from any offset.
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		readAll(t, j, int64(at), errors.New("any"))
	})
}

func readAll(t *testing.T, j *Journal, from int64, tolerate error) {
	next := from
	for e, err := range j.All(from) {
		if err != nil {
			if tolerate == nil {
				t.Fatal(err)
			}
			return
		}
		if e.Offset < next || len(e.Data) == 0 || len(e.Data) > MaxData || e.Stream != Stdout && e.Stream != Stderr {
			t.Fatalf("entry %+v after %d", e, next)
		}
		next = e.Offset + headerSize + int64(len(e.Data))
	}
}
