package stream

import (
	"io"

	"cis/internal/agent/agentpb"
)

// maxData is the most data that Writer puts into a frame.
const maxData = 32 << 10

// Writer sends what is written as frames with data.
type Writer struct{ *Stream }

// Write implements io.Writer.
func (w Writer) Write(p []byte) (n int, err error) {
	for n < len(p) {
		part := p[n:min(n+maxData, len(p))]
		if err := w.Send(&agentpb.Frame{Data: part}); err != nil {
			return n, err
		}
		n += len(part)
	}
	return n, nil
}

// Reader reads the data of frames up to one with eof. A call that ends before that
// gives io.ErrUnexpectedEOF.
type Reader struct {
	s    *Stream
	rest []byte
	eof  bool
}

// NewReader makes a reader of what the other side sends from now on.
func NewReader(s *Stream) *Reader { return &Reader{s: s} }

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.eof {
			return 0, io.EOF
		}
		f, err := r.s.Recv()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, err
		}
		r.rest, r.eof = f.Data, f.Eof
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
