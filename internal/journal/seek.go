package journal

import (
	"bytes"
	"slices"
	"time"
)

// Position is a place inside a record's data.
type Position struct {
	// Offset of the record.
	Offset int64
	// Skip is how many bytes of its data come before the place.
	Skip int
}

// Since is the offset of the first record written at t or later, the end if there
// is none. It takes times to grow; where a clock was set back it may be too early.
func (j *Journal) Since(t time.Time) (int64, error) {
	j.mu.Lock()
	from := j.markBefore(func(m mark) bool { return m.time.Before(t) })
	j.mu.Unlock()
	end := from
	for e, err := range j.All(from) {
		if err != nil {
			return 0, err
		}
		if !e.Time.Before(t) {
			return e.Offset, nil
		}
		end = e.Offset + headerSize + int64(len(e.Data))
	}
	return end, nil
}

// Tail is where the last n lines begin, over both streams; the beginning if there
// are fewer. A last line without its newline counts.
func (j *Journal) Tail(n int) (Position, error) {
	end := j.End()
	if n <= 0 {
		return Position{Offset: end}, nil
	}
	from, lines, err := j.lastLines(n, end)
	if err != nil || lines < n {
		return Position{Offset: from}, err
	}
	return j.skipLines(from, end, lines-n)
}

// lastLines goes back by marks until at least n lines lie between from and end.
func (j *Journal) lastLines(n int, end int64) (from int64, lines int, err error) {
	j.mu.Lock()
	marks := slices.Clone(j.marks)
	j.mu.Unlock()
	from = end
	for _, m := range slices.Backward(marks) {
		if lines > n {
			break // one more than asked: the n-th may have begun before from
		}
		count, open, err := j.countLines(m.offset, from)
		if err != nil {
			return 0, 0, err
		}
		if open && from == end {
			count++
		}
		lines += count
		from = m.offset
	}
	return from, lines, nil
}

// countLines counts newlines; open tells that the last byte is none.
func (j *Journal) countLines(from, to int64) (n int, open bool, err error) {
	for e, err := range j.All(from) {
		if err != nil {
			return 0, false, err
		}
		if e.Offset >= to {
			break
		}
		n += bytes.Count(e.Data, []byte{'\n'})
		open = e.Data[len(e.Data)-1] != '\n'
	}
	return n, open, nil
}

// skipLines is the position after n newlines.
func (j *Journal) skipLines(from, end int64, n int) (Position, error) {
	for e, err := range j.All(from) {
		if err != nil {
			return Position{}, err
		}
		for at := 0; ; n-- {
			if n == 0 {
				if at == len(e.Data) {
					break // the next record's beginning
				}
				return Position{Offset: e.Offset, Skip: at}, nil
			}
			i := bytes.IndexByte(e.Data[at:], '\n')
			if i < 0 {
				break
			}
			at += i + 1
		}
	}
	return Position{Offset: end}, nil
}
