package serial

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// Listener is the guest's side of a port: it accepts the host's connections.
type Listener struct {
	port     io.ReadWriteCloser
	accepted chan net.Conn
	done     chan struct{}
	once     sync.Once

	mu      sync.Mutex // held while writing
	current *guestConn
}

var _ net.Listener = (*Listener)(nil)

// Listen serves a port until Close. A Read of the port that gives nothing means that
// the host has gone; the next one waits until it is back.
func Listen(port io.ReadWriteCloser) *Listener {
	l := &Listener{port: port, accepted: make(chan net.Conn), done: make(chan struct{})}
	go l.read()
	return l
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accepted:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener; it ends the current connection too.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.port.Close()
}

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return addr{} }

type addr struct{}

func (addr) Network() string { return "serial" }
func (addr) String() string  { return "serial port" }

// awayReader waits for a host that is away, and tells when it has gone.
type awayReader struct{ l *Listener }

func (r awayReader) Read(p []byte) (int, error) {
	for {
		n, err := r.l.port.Read(p)
		if n > 0 || err != nil {
			return n, err
		}
		r.l.begin(nil)
	}
}

// read hands what comes to the connection it belongs to.
func (l *Listener) read() {
	defer l.once.Do(func() { close(l.done) })
	defer l.begin(nil)
	in := newReader(awayReader{l})
	var conn *guestConn
	for {
		data, err := in.next()
		if b, ok := errors.AsType[*begun](err); ok {
			if conn != nil && conn.number == b.number {
				err = l.echo(b.number) // the host has knocked again
			} else {
				conn, err = l.answer(b.number)
			}
			data = nil
		}
		if err != nil {
			return
		}
		if conn != nil && len(data) > 0 {
			_, _ = conn.input.Write(data) // one that is closed takes nothing
		}
	}
}

// answer begins a connection.
func (l *Listener) answer(number string) (*guestConn, error) {
	c := &guestConn{l: l, number: number}
	c.out, c.input = io.Pipe()
	l.begin(c)
	if err := l.echo(number); err != nil {
		return nil, err
	}
	select {
	case l.accepted <- c:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// echo tells the host that its connection is taken.
func (l *Listener) echo(number string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.port.Write(appendMark(nil, number))
	return err
}

// begin ends the connection before.
func (l *Listener) begin(c *guestConn) {
	l.mu.Lock()
	before := l.current
	l.current = c
	l.mu.Unlock()
	if before != nil {
		before.input.CloseWithError(io.EOF)
	}
}

// guestConn is the guest's side of a connection.
type guestConn struct {
	l      *Listener
	number string
	out    *io.PipeReader
	input  *io.PipeWriter
}

// Read implements net.Conn.
func (c *guestConn) Read(p []byte) (int, error) { return c.out.Read(p) }

// Write implements net.Conn. After the connection's end it fails.
func (c *guestConn) Write(p []byte) (int, error) {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	if c.l.current != c {
		return 0, io.ErrClosedPipe
	}
	if _, err := c.l.port.Write(appendEscaped(make([]byte, 0, len(p)+8), p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close implements net.Conn. The host is not told: its connection ends with its
// next one.
func (c *guestConn) Close() error {
	c.l.mu.Lock()
	if c.l.current == c {
		c.l.current = nil
	}
	c.l.mu.Unlock()
	return c.out.Close()
}

// LocalAddr and the rest implement net.Conn.
func (c *guestConn) LocalAddr() net.Addr              { return addr{} }
func (c *guestConn) RemoteAddr() net.Addr             { return addr{} }
func (c *guestConn) SetDeadline(time.Time) error      { return errors.ErrUnsupported }
func (c *guestConn) SetReadDeadline(time.Time) error  { return errors.ErrUnsupported }
func (c *guestConn) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }
