package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"iter"
	"time"
)

// MaxData is the most bytes of output in one record. Longer writes become
// several records.
const MaxData = 32 << 10

// MaxRecord is the size of the largest record. A buffer for Read must be at
// least this long.
const MaxRecord = headerSize + MaxData

// A record is a header and its data. The header: magic, stream, length (2 bytes),
// time (8 bytes, nanoseconds since 1970), little endian. The magic byte is not
// zero, so that the first record after a hole is found by skipping zeros.
const (
	magic      = 0xc5
	headerSize = 12
)

// The streams of a program.
const (
	Stdout = 1
	Stderr = 2
)

// ErrCorrupt tells that a place in a journal holds no record where one must be.
var ErrCorrupt = errors.New("not a journal record")

// Entry is one record: a piece of output, not always a whole line.
type Entry struct {
	// Offset of the record in the journal.
	Offset int64
	Time   time.Time
	// Stream is Stdout or Stderr.
	Stream int
	// Data is valid until the reader's next step.
	Data []byte
}

// Chunk is a run of whole records.
type Chunk struct {
	// Offset of the first one in the journal.
	Offset int64
	Data   []byte
}

// End is the offset after the last record.
func (c Chunk) End() int64 { return c.Offset + int64(len(c.Data)) }

// Entries gives the chunk's records in order. It stops at the first byte that
// belongs to no whole record.
func (c Chunk) Entries() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for b, at := c.Data, c.Offset; ; {
			e, size, err := parse(b)
			if err != nil || size == 0 {
				return
			}
			e.Offset = at
			if !yield(e) {
				return
			}
			b, at = b[size:], at+int64(size)
		}
	}
}

// appendRecord adds one record to b. Data is at most MaxData long.
func appendRecord(b []byte, stream int, at time.Time, data []byte) []byte {
	b = append(b, magic, byte(stream))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(data)))
	b = binary.LittleEndian.AppendUint64(b, uint64(at.UnixNano()))
	return append(b, data...)
}

// parse reads the record at the beginning of b. Size is 0 when b ends before
// the record does.
func parse(b []byte) (e Entry, size int, err error) {
	if len(b) == 0 {
		return e, 0, nil
	}
	if b[0] != magic || len(b) > 1 && b[1] != Stdout && b[1] != Stderr {
		return e, 0, ErrCorrupt
	}
	if len(b) < headerSize {
		return e, 0, nil
	}
	n := int(binary.LittleEndian.Uint16(b[2:]))
	if n == 0 || n > MaxData {
		return e, 0, ErrCorrupt
	}
	if len(b) < headerSize+n {
		return e, 0, nil
	}
	e.Stream = int(b[1])
	e.Time = time.Unix(0, int64(binary.LittleEndian.Uint64(b[4:])))
	e.Data = b[headerSize : headerSize+n : headerSize+n]
	return e, headerSize + n, nil
}

// wholeRecords is the length of the run of whole records that b begins with. The
// error says why the run is empty: ErrCorrupt, or nil when b is too short.
func wholeRecords(b []byte) (int, error) {
	run := 0
	for {
		_, size, err := parse(b[run:])
		if size == 0 {
			if run > 0 {
				err = nil
			}
			return run, err
		}
		run += size
	}
}

// firstNonZero is the index of the first byte that is not zero, or len(b).
func firstNonZero(b []byte) int {
	var zeros [512]byte
	i := 0
	for len(b)-i >= len(zeros) && bytes.Equal(b[i:i+len(zeros)], zeros[:]) {
		i += len(zeros)
	}
	for i < len(b) && b[i] == 0 {
		i++
	}
	return i
}
