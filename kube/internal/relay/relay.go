// Package relay carries TCP connections from where pods are to one address of the host,
// which pods do not reach by themselves. It knows nothing of what it carries.
package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// A Dialer makes the connections to the other side.
type Dialer func(ctx context.Context) (net.Conn, error)

const (
	// maxConnections are open at once; what comes more waits.
	maxConnections = 4096
	dialPatience   = 10 * time.Second
)

// Serve carries what the listener accepts, until ctx ends. Then it closes the listener
// and all connections.
func Serve(ctx context.Context, l net.Listener, dial Dialer) error {
	defer context.AfterFunc(ctx, func() { l.Close() })()
	defer l.Close()
	var carried sync.WaitGroup
	defer carried.Wait()
	slots := make(chan struct{}, maxConnections)
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept connections: %w", err)
		}
		slots <- struct{}{}
		carried.Go(func() {
			defer func() { <-slots }()
			if err := carry(ctx, conn, dial); err != nil && ctx.Err() == nil {
				slog.Warn("a connection is not carried", "from", conn.RemoteAddr(), "error", err)
			}
		})
	}
}

func carry(ctx context.Context, from net.Conn, dial Dialer) error {
	defer from.Close()
	dialing, cancel := context.WithTimeout(ctx, dialPatience)
	to, err := dial(dialing)
	cancel()
	if err != nil {
		return err
	}
	defer to.Close()
	defer context.AfterFunc(ctx, func() { from.Close(); to.Close() })()
	var there sync.WaitGroup
	there.Go(func() { pass(to, from) })
	pass(from, to)
	there.Wait()
	return nil
}

// pass copies until the end of one direction, and tells the receiver of it.
func pass(to, from net.Conn) {
	// How a connection ends is the affair of its ends.
	_, err := io.Copy(to, from)
	if half, ok := to.(interface{ CloseWrite() error }); ok && (err == nil || errors.Is(err, io.EOF)) {
		_ = half.CloseWrite()
		return
	}
	to.Close()
	from.Close()
}
