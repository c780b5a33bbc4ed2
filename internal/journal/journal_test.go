package journal

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

func create(t testing.TB, limit int64) *Journal {
	t.Helper()
	j, err := Create(filepath.Join(t.TempDir(), "j"), limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func TestFollowSeesEveryByteUntilComplete(t *testing.T) {
	j := create(t, 64<<20)
	const n = 20_000
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			got := 0
			err := j.Follow(t.Context(), 0, func(c Chunk) error {
				for e := range c.Entries() {
					if len(e.Data) != 1+got%100 {
						t.Errorf("record %d has %d bytes", got, len(e.Data))
					}
					got++
				}
				return nil
			})
			if err != nil || got != n {
				t.Errorf("followed %d records: %v", got, err)
			}
		})
	}
	for i := range n {
		if err := j.Append(Stdout, time.Now(), make([]byte, 1+i%100)); err != nil {
			t.Fatal(err)
		}
	}
	j.Complete()
	wg.Wait()
}

func TestFollowEnds(t *testing.T) {
	j := create(t, 1<<20)
	ctx, cancel := context.WithCancel(t.Context())
	errs := make(chan error)
	follow := func(ctx context.Context) {
		errs <- j.Follow(ctx, 0, func(Chunk) error { return nil })
	}
	go follow(ctx)
	cancel()
	if err := <-errs; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	go follow(t.Context())
	j.Close()
	if err := <-errs; !errors.Is(err, ErrClosed) && !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
	if err := j.Append(Stdout, time.Now(), []byte("x")); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

// A reader that falls behind a fast writer loses old records, never gets a
// damaged one.
func TestReaderOvertakenByTheHole(t *testing.T) {
	j := create(t, 256<<10)
	go func() {
		defer j.Complete()
		for i := range 3000 {
			j.Append(Stdout, time.Now(), bytes.Repeat([]byte{byte(1 + i%250)}, 2000))
		}
	}()
	err := j.Follow(t.Context(), 0, func(c Chunk) error {
		for e := range c.Entries() {
			if len(e.Data) != 2000 || e.Data[0] == 0 || e.Data[0] != e.Data[1999] {
				t.Errorf("damaged record at %d", e.Offset)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if j.First() == 0 {
		t.Error("nothing was dropped")
	}
}

func TestReplicaIsTheSameBytes(t *testing.T) {
	spool, replica := create(t, 1<<20), create(t, 1<<20)
	for i := range 2000 {
		spool.Append(1+i%2, time.Unix(int64(i), 0), bytes.Repeat([]byte("line\n"), 200))
		if i%3 == 0 {
			continue // falls behind, and gets several at once
		}
		buf := make([]byte, MaxRecord)
		c, err := spool.Read(replica.End(), buf)
		if err != nil {
			t.Fatal(err)
		}
		if err := replica.WriteAt(c); err != nil {
			t.Fatal(err)
		}
	}
	if spool.First() != replica.First() || spool.End() < replica.End() {
		t.Errorf("spool %d–%d, replica %d–%d", spool.First(), spool.End(), replica.First(), replica.End())
	}
}

func TestRefusals(t *testing.T) {
	j := create(t, 1<<20)
	good := appendRecord(nil, Stdout, time.Now(), []byte("x"))
	for name, data := range map[string][]byte{
		"torn":   good[:len(good)-1],
		"zeros":  make([]byte, 100),
		"stream": append([]byte{magic, 3}, good[2:]...),
		"empty":  appendRecord(nil, Stdout, time.Now(), nil),
		"tail":   append(bytes.Clone(good), 1),
	} {
		if err := j.WriteAt(Chunk{0, data}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := j.WriteAt(Chunk{-1, good}); err == nil {
		t.Error("negative offset was taken")
	}
	if err := j.Append(3, time.Now(), good); err == nil {
		t.Error("stream 3 was taken")
	}
	if _, err := j.Read(1, make([]byte, MaxRecord)); !errors.Is(err, ErrBeyond) {
		t.Error(err)
	}
	if j.End() != 0 {
		t.Error("something was written")
	}
}

func TestReadInsideARecordIsCorrupt(t *testing.T) {
	j := create(t, 1<<20)
	j.Append(Stdout, time.Now(), []byte("hello"))
	if _, err := j.Read(3, make([]byte, MaxRecord)); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
}
