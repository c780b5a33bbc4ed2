package serial

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

// appendEscaped appends data so that it holds no mark.
func appendEscaped(to, data []byte) []byte {
	for {
		i := bytes.IndexByte(data, escape)
		if i < 0 {
			return append(to, data...)
		}
		to = append(append(to, data[:i]...), escape, literal)
		data = data[i+1:]
	}
}

// appendMark appends the beginning of a connection.
func appendMark(to []byte, number string) []byte {
	return append(append(to, escape, mark), number...)
}

// begun is what reader.next returns at the beginning of a connection.
type begun struct{ number string }

func (b *begun) Error() string { return "connection " + b.number + " begins" }

// reader takes the escapes out of a port's bytes.
type reader struct{ in *bufio.Reader }

func newReader(r io.Reader) *reader { return &reader{bufio.NewReaderSize(r, 64<<10)} }

// next returns some bytes of the connection, valid until the next call. The error is
// *begun where another connection begins.
func (r *reader) next() ([]byte, error) {
	if _, err := r.in.Peek(1); err != nil {
		return nil, err
	}
	data, _ := r.in.Peek(r.in.Buffered())
	switch i := bytes.IndexByte(data, escape); i {
	case 0:
		return r.escaped()
	case -1:
	default:
		data = data[:i]
	}
	_, err := r.in.Discard(len(data))
	return data, err
}

// escaped reads what begins with the escape byte.
func (r *reader) escaped() ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		return nil, err
	}
	switch head[1] {
	case literal:
		return []byte{escape}, nil
	case mark:
		var number [numberSize]byte
		if _, err := io.ReadFull(r.in, number[:]); err != nil {
			return nil, err
		}
		return nil, &begun{string(number[:])}
	}
	return nil, fmt.Errorf("serial: %#x after an escape byte", head[1])
}
