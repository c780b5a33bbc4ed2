// Package journal keeps the output of one program in one bounded file: records
// of time, stream and bytes, appended, read from any offset, and followed
// without polling. An agent spools output in journals; the engine keeps replicas
// of them with the same bytes at the same offsets.
//
// A journal never grows over its limit on disk: the oldest records are freed by
// punching a hole, offsets stay as they are, and a reader of an old offset goes
// on at the first record that is kept. Nothing is fsynced: a crash of the machine
// may take the last records, and Open cuts off a torn one.
//
// One process has a file open at a time. The file system must know holes (ext4,
// xfs, btrfs, tmpfs). Records carry no checksum.
package journal

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// ErrClosed is returned by a journal that was closed.
var ErrClosed = errors.New("journal is closed")

// Journal is an open journal file. One goroutine may write while any number read.
type Journal struct {
	file  *os.File
	limit int64

	// first is the offset of the oldest record kept, end the one after the newest.
	// They are written under mu and read without it.
	first, end atomic.Int64

	mu       sync.Mutex
	marks    []mark
	buf      []byte
	complete bool
	closed   bool
	// changed is closed at the next change; nil while nobody waits.
	changed chan struct{}
}

// Create makes an empty journal that keeps about limit bytes of records. A file
// that exists is emptied.
func Create(path string, limit int64) (*Journal, error) {
	return open(path, limit, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}

// Open opens a journal, or makes an empty one. From the first place on that is not
// a whole record the file is cut off.
func Open(path string, limit int64) (*Journal, error) {
	return open(path, limit, os.O_RDWR|os.O_CREATE)
}

func open(path string, limit int64, flags int) (*Journal, error) {
	file, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	j := &Journal{file: file, limit: max(limit, 2*MaxRecord)}
	if err := j.recover(); err != nil {
		file.Close()
		return nil, fmt.Errorf("open journal %s: %w", path, err)
	}
	return j, nil
}

// recover finds the kept records of the file and cuts off what is none.
func (j *Journal) recover() error {
	info, err := j.file.Stat()
	if err != nil {
		return err
	}
	var last int64
	j.end.Store(info.Size())
	for e, err := range j.All(0) {
		if err != nil && !errors.Is(err, ErrCorrupt) {
			return err
		}
		if err != nil {
			break
		}
		j.note(e.Offset, e.Time)
		last = e.Offset + headerSize + int64(len(e.Data))
	}
	j.end.Store(last)
	j.first.Store(last)
	if len(j.marks) > 0 {
		j.first.Store(j.marks[0].offset)
	}
	if last < info.Size() {
		if err := j.file.Truncate(last); err != nil {
			return err
		}
	}
	return j.trim()
}

// Path is the file's name.
func (j *Journal) Path() string { return j.file.Name() }

// First is the offset of the oldest record that is kept; equal to End when there
// is none.
func (j *Journal) First() int64 { return j.first.Load() }

// End is the offset where the next record goes.
func (j *Journal) End() int64 { return j.end.Load() }

// Append adds output with one write. After an error, such as a full disk, the
// journal is as before and may be appended to again.
func (j *Journal) Append(stream int, at time.Time, data []byte) error {
	if stream != Stdout && stream != Stderr {
		return fmt.Errorf("append to journal: no stream %d", stream)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.buf = j.buf[:0]
	for len(data) > 0 {
		n := min(len(data), MaxData)
		j.buf = appendRecord(j.buf, stream, at, data[:n])
		data = data[n:]
	}
	return j.write(Chunk{Offset: j.end.Load(), Data: j.buf})
}

// WriteAt adds a chunk read from another journal at its own offset. An offset
// past the end leaves a hole; records that are here already are not written again.
// A chunk that is not made of whole records is refused with ErrCorrupt.
func (j *Journal) WriteAt(c Chunk) error {
	if n, err := wholeRecords(c.Data); err != nil || n != len(c.Data) || c.Offset < 0 {
		return fmt.Errorf("write to journal at %d: %w", c.Offset, ErrCorrupt)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for e := range c.Entries() {
		if e.Offset >= j.end.Load() {
			return j.write(Chunk{Offset: e.Offset, Data: c.Data[e.Offset-c.Offset:]})
		}
	}
	return nil
}

// write puts a chunk at or after the end. The caller holds mu.
func (j *Journal) write(c Chunk) error {
	if j.closed {
		return ErrClosed
	}
	if len(c.Data) == 0 {
		return nil
	}
	if _, err := j.file.WriteAt(c.Data, c.Offset); err != nil {
		return fmt.Errorf("write to journal: %w", err)
	}
	if len(j.marks) == 0 {
		j.first.Store(c.Offset)
	}
	for e := range c.Entries() {
		j.note(e.Offset, e.Time)
	}
	j.end.Store(c.End())
	j.wake()
	return j.trim()
}

// Complete tells followers that nothing more will be appended.
func (j *Journal) Complete() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.complete = true
	j.wake()
}

// Close closes the file; the records stay. Followers end with ErrClosed.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil
	}
	j.closed = true
	j.wake()
	return j.file.Close()
}

// wake lets followers look again. The caller holds mu.
func (j *Journal) wake() {
	if j.changed != nil {
		close(j.changed)
		j.changed = nil
	}
}
