package journal

import (
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// segments is how many pieces a full journal is freed in.
const segments = 64

// mark remembers a record's place, about one in every limit/segments bytes: where
// the oldest part may end, and where a search by time or by lines may begin.
type mark struct {
	offset int64
	time   time.Time
}

// note remembers a new record where a mark is due.
func (j *Journal) note(offset int64, at time.Time) {
	if n := len(j.marks); n == 0 || offset-j.marks[n-1].offset >= j.limit/segments {
		j.marks = append(j.marks, mark{offset, at})
	}
}

// trim frees the oldest records while there are more than the limit.
func (j *Journal) trim() error {
	drop := 0
	for drop < len(j.marks)-1 && j.end.Load()-j.marks[drop].offset > j.limit {
		drop++
	}
	if drop == 0 {
		return nil
	}
	j.marks = slices.Delete(j.marks, 0, drop)
	return j.free(j.marks[0].offset)
}

// Discard frees the records that end at or before offset upTo.
func (j *Journal) Discard(upTo int64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if upTo <= j.first.Load() {
		return nil
	}
	start, at, err := j.recordAt(min(upTo, j.end.Load()))
	if err != nil {
		return err
	}
	j.marks = slices.DeleteFunc(j.marks, func(m mark) bool { return m.offset <= start })
	if start < j.end.Load() {
		j.marks = slices.Insert(j.marks, 0, mark{start, at})
	}
	return j.free(start)
}

// recordAt finds the record that covers an offset; at the end, the end.
func (j *Journal) recordAt(offset int64) (start int64, at time.Time, err error) {
	for e, err := range j.All(j.markBefore(func(m mark) bool { return m.offset <= offset })) {
		if err != nil {
			return 0, at, err
		}
		if e.Offset+headerSize+int64(len(e.Data)) > offset {
			return e.Offset, e.Time, nil
		}
	}
	return j.end.Load(), at, nil
}

// markBefore is the offset of the last mark of the run that holds, else the first
// record's.
func (j *Journal) markBefore(holds func(mark) bool) int64 {
	found := j.first.Load()
	for _, m := range j.marks {
		if !holds(m) {
			break
		}
		found = m.offset
	}
	return found
}

// free gives the file's blocks before first back. First moves before the hole is
// made, so that a reader can tell afterwards whether what it read was whole.
func (j *Journal) free(first int64) error {
	const align = 1 << 20 // the block that the last hole began in is freed too
	from := j.first.Load() &^ (align - 1)
	j.first.Store(first)
	if first == from {
		return nil
	}
	const mode = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
	if err := unix.Fallocate(int(j.file.Fd()), mode, from, first-from); err != nil {
		return fmt.Errorf("free the journal's oldest part: %w", err)
	}
	return nil
}
