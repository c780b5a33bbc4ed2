package journal

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// model is a journal as a slice of records.
type model struct {
	entries []Entry
	end     int64
}

func (m *model) add(offset int64, stream int, at time.Time, data []byte) {
	for len(data) > 0 {
		n := min(len(data), MaxData)
		m.entries = append(m.entries, Entry{offset, at, stream, bytes.Clone(data[:n])})
		data = data[n:]
		offset += headerSize + int64(n)
	}
	m.end = offset
}

// from is the index of the first record at or after an offset.
func (m *model) from(offset int64) int {
	i, _ := slices.BinarySearchFunc(m.entries, offset, func(e Entry, o int64) int { return int(e.Offset - o) })
	return i
}

func (m *model) drop(before int64) { m.entries = m.entries[m.from(before):] }

// tail is the text after the start of the n-th last line.
func (m *model) tail(n int) []byte {
	var all []byte
	for _, e := range m.entries {
		all = append(all, e.Data...)
	}
	lines := bytes.SplitAfter(all, []byte{'\n'})
	if len(lines[len(lines)-1]) == 0 {
		lines = lines[:len(lines)-1]
	}
	return bytes.Join(lines[max(0, len(lines)-n):], nil)
}

// dirs are folders on the file systems to test on.
func dirs(t *testing.T) map[string]string {
	found := map[string]string{"temp": t.TempDir()}
	var fs unix.Statfs_t
	if unix.Statfs("/dev/shm", &fs) == nil && fs.Type == unix.TMPFS_MAGIC {
		dir, err := os.MkdirTemp("/dev/shm", "journal")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		found["tmpfs"] = dir
	}
	return found
}

func TestAgainstModel(t *testing.T) {
	for fs, dir := range dirs(t) {
		for seed := range uint64(12) {
			t.Run(fmt.Sprintf("%s/seed %d", fs, seed), func(t *testing.T) {
				w := &walk{t: t, r: rand.New(rand.NewPCG(seed, 1)), path: filepath.Join(dir, fmt.Sprint(seed))}
				w.open()
				for range 400 {
					w.step()
				}
				w.check()
				w.j.Close()
			})
		}
	}
}

// walk does random things to a journal and to its model.
type walk struct {
	t    *testing.T
	r    *rand.Rand
	path string
	j    *Journal
	m    model
	now  int64
}

const walkLimit = 1 << 20

func (w *walk) open() {
	j, err := Open(w.path, walkLimit)
	if err != nil {
		w.t.Fatal(err)
	}
	w.j = j
}

func (w *walk) data() []byte {
	sizes := []int{1, 80, 4000, MaxData, MaxData + 1, 100_000}
	b := bytes.Repeat([]byte{byte(w.r.IntN(3))}, 1+w.r.IntN(sizes[w.r.IntN(len(sizes))]))
	for range w.r.IntN(5) {
		b[w.r.IntN(len(b))] = '\n'
	}
	return b
}

func (w *walk) step() {
	w.now += 1 + w.r.Int64N(1000)
	at := time.Unix(0, w.now)
	stream := 1 + w.r.IntN(2)
	var err error
	switch k := w.r.IntN(100); {
	case k < 75:
		d := w.data()
		err = w.j.Append(stream, at, d)
		w.m.add(w.m.end, stream, at, d)
	case k < 85: // a chunk with a gap before it, or some of it here already
		offset := w.m.end
		if w.r.IntN(2) == 0 {
			offset += w.r.Int64N(200_000)
		}
		var c model
		c.add(offset, stream, at, w.data())
		err = w.j.WriteAt(Chunk{offset, encode(c.entries)})
		w.m.entries, w.m.end = append(w.m.entries, c.entries...), c.end
		if len(w.m.entries) > 3 && err == nil {
			again := w.m.entries[len(w.m.entries)-1:]
			err = w.j.WriteAt(Chunk{again[0].Offset, encode(again)})
		}
	case k < 90:
		upTo := w.j.First() + w.r.Int64N(w.j.End()-w.j.First()+1)
		err = w.j.Discard(upTo)
		kept := w.m.end
		for _, e := range slices.Backward(w.m.entries) {
			if e.Offset+headerSize+int64(len(e.Data)) > upTo {
				kept = e.Offset
			}
		}
		if upTo > 0 && len(w.m.entries) > 0 && w.j.First() != kept {
			w.t.Fatalf("discard to %d left the first at %d, not %d", upTo, w.j.First(), kept)
		}
	case k < 95:
		w.j.Close()
		w.tear()
		w.open()
	default:
		w.check()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.m.drop(w.j.First())
}

// tear leaves half a record at the file's end, as a crash might.
func (w *walk) tear() {
	rec := appendRecord(nil, 1, time.Unix(0, w.now), w.data()[:1])
	rec = rec[:w.r.IntN(len(rec))]
	f, err := os.OpenFile(w.path, os.O_WRONLY, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	f.WriteAt(rec, w.m.end)
	f.Close()
	if len(w.m.entries) == 0 {
		w.m.end = 0 // nothing is left that tells how far it had come
	}
}

func encode(entries []Entry) []byte {
	var b []byte
	for _, e := range entries {
		b = appendRecord(b, e.Stream, e.Time, e.Data)
	}
	return b
}

func (w *walk) check() {
	w.t.Helper()
	w.checkBound()
	i := 0
	if n := len(w.m.entries); n > 0 {
		i = w.r.IntN(n)
		w.checkTail(w.r.IntN(20))
		w.checkSince(w.m.entries[w.r.IntN(n)].Time)
	}
	from := int64(0)
	if i > 0 {
		from = w.m.entries[i].Offset
	}
	for e, err := range w.j.All(from) {
		if err != nil {
			w.t.Fatal(err)
		}
		if i >= len(w.m.entries) {
			w.t.Fatal("a record too many")
		}
		if want := w.m.entries[i]; e.Offset != want.Offset || e.Stream != want.Stream ||
			!e.Time.Equal(want.Time) || !bytes.Equal(e.Data, want.Data) {
			w.t.Fatalf("record %d at %d differs from %d", i, e.Offset, want.Offset)
		}
		i++
	}
	if i != len(w.m.entries) {
		w.t.Fatalf("%d records of %d", i, len(w.m.entries))
	}
}

func (w *walk) checkBound() {
	var st unix.Stat_t
	if err := unix.Stat(w.path, &st); err != nil {
		w.t.Fatal(err)
	}
	if used := st.Blocks * 512; used > walkLimit+2*MaxRecord+256<<10 {
		w.t.Fatalf("journal uses %d bytes on disk", used)
	}
}

func (w *walk) checkTail(n int) {
	p, err := w.j.Tail(n)
	if err != nil {
		w.t.Fatal(err)
	}
	var got []byte
	for e, err := range w.j.All(p.Offset) {
		if err != nil {
			w.t.Fatal(err)
		}
		got = append(got, e.Data[p.Skip:]...)
		p.Skip = 0
	}
	if want := w.m.tail(n); !bytes.Equal(got, want) {
		w.t.Fatalf("tail %d has %d bytes, not %d", n, len(got), len(want))
	}
}

func (w *walk) checkSince(at time.Time) {
	got, err := w.j.Since(at)
	if err != nil {
		w.t.Fatal(err)
	}
	i := slices.IndexFunc(w.m.entries, func(e Entry) bool { return !e.Time.Before(at) })
	if want := w.m.entries[i].Offset; got != want {
		w.t.Fatalf("since is %d, not %d", got, want)
	}
}
