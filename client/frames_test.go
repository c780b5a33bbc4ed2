package client

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"cis/api"
)

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x03abc\x02\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x03\x00\x00\x00\xff\xff\xff\xff{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		stamps := &stampReader{fn: func(LogEntry) error { return nil }}
		for {
			before := r.Len()
			stream, frame, err := readFrame(r, nil)
			if err != nil {
				if errors.Is(err, io.EOF) && before != 0 {
					t.Fatalf("half a frame of %d bytes passes for the end", before)
				}
				return
			}
			if before-r.Len() != 8+len(frame) {
				t.Fatalf("a frame of %d bytes took %d", len(frame), before-r.Len())
			}
			if err := stamps.read(LogEntry{Stream: int(stream), Data: frame}); err != nil && api.CodeOf(err) != api.Internal {
				t.Fatal(err)
			}
		}
	})
}
