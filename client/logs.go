package client

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"strconv"
	"time"

	"cis/api"
)

// LogEntry is a piece of output. With timestamps it is at most one line, and Time
// is that of the line's first piece; without them Time is zero.
type LogEntry = api.LogEntry

// maxFrame bounds a frame of logs, against an answer that is not of cisd.
const maxFrame = 16 << 20

// Logs calls fn for each piece of a container's output, oldest first, until the
// output ends or, with Follow, until the container has ended for good. With
// Timestamps each entry has its time.
func (c *Client) Logs(ctx context.Context, ref string, opts api.LogOptions, fn func(LogEntry) error) error {
	resp, err := c.send(ctx, call{method: "GET", path: instancePath(ref, "/logs"), query: logQuery(opts)})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if opts.Timestamps {
		fn = (&stampReader{fn: fn}).read
	}
	var buf []byte
	for {
		stream, data, err := readFrame(resp.Body, buf)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return streamError(ctx, err)
		case stream == api.LogError:
			return logError(data)
		}
		if err := fn(LogEntry{Stream: int(stream), Data: data}); err != nil {
			return err
		}
		buf = data[:0]
	}
}

func logQuery(opts api.LogOptions) url.Values {
	q := url.Values{"format": {"frames"}}
	set(q, "container", opts.Container)
	set(q, "follow", opts.Follow)
	set(q, "previous", opts.Previous)
	set(q, "timestamps", opts.Timestamps)
	if opts.Tail >= 0 {
		q.Set("tail", strconv.Itoa(opts.Tail))
	}
	if !opts.Since.IsZero() {
		q.Set("since", opts.Since.Format(time.RFC3339Nano))
	}
	return q
}

// readFrame reads into buf, or into more room if that is too small. It returns
// io.EOF only between two frames.
func readFrame(r io.Reader, buf []byte) (api.LogStream, []byte, error) {
	var header [8]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, nil, err
	}
	size := int(binary.BigEndian.Uint32(header[4:]))
	if size > maxFrame {
		return 0, nil, errors.New("a frame of the logs is too large")
	}
	if cap(buf) < size {
		buf = make([]byte, size)
	}
	_, err := io.ReadFull(r, buf[:size])
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return api.LogStream(header[0]), buf[:size], err
}

// logError reads the error that ended the logs.
func logError(data []byte) error {
	e := &api.Error{}
	if err := json.Unmarshal(data, e); err != nil {
		return api.Errorf(api.Internal, "the logs broke off: %w", err)
	}
	return e
}

// stampReader takes the times off the beginnings of lines.
type stampReader struct {
	fn func(LogEntry) error
	// last is the time of the line that each stream is in; zero between lines.
	last [3]time.Time
}

// stampLayout has always the same width, and a space after it.
const stampLayout = "2006-01-02T15:04:05.000000000Z"

func (s *stampReader) read(e LogEntry) error {
	last := &s.last[min(max(e.Stream, 0), 2)]
	for line := range bytes.Lines(e.Data) {
		if last.IsZero() {
			if len(line) <= len(stampLayout) {
				return api.Errorf(api.Internal, "a line of the logs has no time")
			}
			t, err := time.Parse(stampLayout, string(line[:len(stampLayout)]))
			if err != nil {
				return api.Errorf(api.Internal, "a line of the logs has no time: %w", err)
			}
			*last, line = t, line[len(stampLayout)+1:]
		}
		entry := LogEntry{Time: *last, Stream: e.Stream, Data: line}
		if bytes.HasSuffix(line, []byte("\n")) {
			*last = time.Time{}
		}
		if err := s.fn(entry); err != nil {
			return err
		}
	}
	return nil
}
