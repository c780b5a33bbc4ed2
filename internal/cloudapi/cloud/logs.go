package cloud

import (
	"bytes"
	"context"
	"strings"
	"time"

	"cis/api"
)

// MaxLog is the most bytes of output that an answer has: the latest.
const MaxLog = 1 << 20

// Logger reads the output of containers.
type Logger interface {
	Logs(ctx context.Context, ref string, opts api.LogOptions, fn func(api.LogEntry) error) error
}

// Line is one line of output, and when it began.
type Line struct {
	Time time.Time
	Text string
}

// Lines reads output by lines. Of more than so many bytes it gives the latest.
func Lines(ctx context.Context, l Logger, ref string, opts api.LogOptions, most int) ([]Line, error) {
	c := collector{most: most}
	err := l.Logs(ctx, ref, opts, func(e api.LogEntry) error {
		c.add(e)
		return nil
	})
	return c.all(), err
}

// collector joins the pieces of each stream to lines.
type collector struct {
	most, size int
	lines      []Line
	// open are the lines that have no end yet, by stream.
	open [3]struct {
		at   time.Time
		text []byte
	}
}

func (c *collector) add(e api.LogEntry) {
	open := &c.open[min(max(e.Stream, 0), 2)]
	for data := e.Data; len(data) > 0; {
		if len(open.text) == 0 {
			open.at = e.Time
		}
		end := bytes.IndexByte(data, '\n')
		if end < 0 || len(open.text)+end > c.most {
			// A line longer than all that is wanted is given in pieces.
			room := max(0, min(len(data), c.most-len(open.text)))
			open.text = append(open.text, data[:room]...)
			if data = data[room:]; len(data) > 0 {
				c.push(open.at, open.text)
				open.text = open.text[:0]
			}
			continue
		}
		open.text = append(open.text, data[:end]...)
		c.push(open.at, open.text)
		open.text, data = open.text[:0], data[end+1:]
	}
}

// push adds a line, and drops the earliest for which there is no room.
func (c *collector) push(at time.Time, text []byte) {
	c.lines = append(c.lines, Line{at, strings.ToValidUTF8(string(text), "\uFFFD")})
	c.size += len(text) + 1
	drop := 0
	for c.size > c.most && drop < len(c.lines)-1 {
		c.size -= len(c.lines[drop].Text) + 1
		drop++
	}
	c.lines = c.lines[drop:]
}

func (c *collector) all() []Line {
	for i := range c.open {
		if len(c.open[i].text) > 0 {
			c.push(c.open[i].at, c.open[i].text)
		}
	}
	return c.lines
}
