package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"golang.org/x/sys/unix"
)

// ErrBeyond tells of an offset that is past the journal's end.
var ErrBeyond = errors.New("offset is beyond the journal's end")

// readSize is what readers ask of the file at once.
const readSize = 128 << 10

// Read fills buf with whole records from an offset on, which is a record's or that
// of records dropped since: then the chunk begins later than asked for. At the end
// of the journal the chunk is empty. Buf is at least MaxRecord long.
func (j *Journal) Read(offset int64, buf []byte) (Chunk, error) {
	if offset < 0 || offset > j.end.Load() {
		return Chunk{}, fmt.Errorf("read journal at %d: %w", offset, ErrBeyond)
	}
	for {
		offset = max(offset, j.first.Load())
		end := j.end.Load()
		if offset >= end {
			return Chunk{Offset: offset}, nil
		}
		data := buf[:min(int64(len(buf)), end-offset)]
		n, err := j.file.ReadAt(data, offset)
		if err != nil && !(errors.Is(err, io.EOF) && n > 0) {
			return Chunk{}, fmt.Errorf("read journal at %d: %w", offset, err)
		}
		data = data[:n]
		if j.first.Load() > offset {
			continue // freed under the read
		}
		if data[0] == 0 {
			if offset, err = j.skipZeros(offset, end, data); err != nil {
				return Chunk{}, fmt.Errorf("read journal at %d: %w", offset, err)
			}
			continue
		}
		run, _ := wholeRecords(data)
		if run == 0 {
			return Chunk{}, fmt.Errorf("read journal at %d: %w", offset, ErrCorrupt)
		}
		return Chunk{Offset: offset, Data: data[:run]}, nil
	}
}

// skipZeros is the offset of the first byte that is not zero, or the end. Data is
// what the file holds at offset.
func (j *Journal) skipZeros(offset, end int64, data []byte) (int64, error) {
	n := firstNonZero(data)
	if n < len(data) {
		return offset + int64(n), nil
	}
	offset += int64(n)
	next, err := j.file.Seek(offset, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return end, nil // a hole up to the end
	}
	if err != nil {
		return offset, err
	}
	return max(offset, next), nil
}

// All gives the records from an offset on up to the end as it is when reached. An
// error is the last step.
func (j *Journal) All(offset int64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		buf := make([]byte, readSize)
		for {
			c, err := j.Read(offset, buf)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			if len(c.Data) == 0 {
				return
			}
			for e := range c.Entries() {
				if !yield(e, nil) {
					return
				}
			}
			offset = c.End()
		}
	}
}

// Follow calls fn with every chunk from an offset on, waits for more, and returns
// nil once the journal is complete and read to its end. A chunk's data is valid
// during the call only.
func (j *Journal) Follow(ctx context.Context, offset int64, fn func(Chunk) error) error {
	buf := make([]byte, readSize)
	for {
		c, err := j.Read(offset, buf)
		if err != nil {
			return err
		}
		offset = c.End()
		if len(c.Data) > 0 {
			if err := fn(c); err != nil {
				return err
			}
			continue
		}
		if err := j.wait(ctx, offset); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// wait returns when there are records after offset; io.EOF when there will be none.
func (j *Journal) wait(ctx context.Context, offset int64) error {
	for {
		changed, err := j.more(offset)
		if err != nil || changed == nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// more returns nil when there are records after offset, else what to wait for.
func (j *Journal) more(offset int64) (<-chan struct{}, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.closed:
		return nil, ErrClosed
	case j.end.Load() > offset:
		return nil, nil
	case j.complete:
		return nil, io.EOF
	}
	if j.changed == nil {
		j.changed = make(chan struct{})
	}
	return j.changed, nil
}
