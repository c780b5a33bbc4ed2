package serial

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"time"
)

// Connect begins a connection on the host's side of a port. It returns when the
// guest has answered; on an error the port is closed.
func Connect(ctx context.Context, port net.Conn) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { port.SetDeadline(time.Unix(1, 0)) })
	c, err := connect(port)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		port.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("connect over a serial port: %w", err)
	}
	return c, nil
}

func connect(port net.Conn) (net.Conn, error) {
	random := make([]byte, numberSize/2)
	rand.Read(random)
	number := hex.EncodeToString(random)
	c := &hostConn{Conn: port, in: newReader(port), number: number}
	answered := make(chan struct{})
	defer close(answered)
	go c.knock(answered)
	for {
		_, err := c.in.next() // what is left of an earlier connection
		if b, ok := errors.AsType[*begun](err); ok && b.number == number {
			return c, nil
		} else if err != nil && !ok {
			return nil, err
		}
	}
}

// knockPause is between two marks of a connection that is not answered yet.
const knockPause = 50 * time.Millisecond

// knock sends the mark until it is answered: what is sent while a guest is just about
// to open its side may be lost.
func (c *hostConn) knock(answered <-chan struct{}) {
	for {
		if _, err := c.Conn.Write(appendMark(nil, c.number)); err != nil {
			return // the reader is told too
		}
		select {
		case <-time.After(knockPause):
		case <-answered:
			return
		}
	}
}

// hostConn is the host's side of a connection.
type hostConn struct {
	net.Conn
	in     *reader
	number string
	rest   []byte
}

// Read implements net.Conn.
func (c *hostConn) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		data, err := c.in.next()
		if b, ok := errors.AsType[*begun](err); ok && b.number == c.number {
			continue // the answer to another knock
		}
		if err != nil {
			return 0, err
		}
		c.rest = data
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// Write implements net.Conn.
func (c *hostConn) Write(p []byte) (int, error) {
	if _, err := c.Conn.Write(appendEscaped(make([]byte, 0, len(p)+8), p)); err != nil {
		return 0, err
	}
	return len(p), nil
}
