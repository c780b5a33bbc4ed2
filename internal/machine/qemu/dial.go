package qemu

import (
	"context"
	"errors"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// dialSocket connects to a socket of QEMU. It has room for very few who wait, and
// turns others away for the moment.
func dialSocket(ctx context.Context, path string) (net.Conn, error) {
	const again = 5 * time.Millisecond
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "unix", path)
		if !errors.Is(err, unix.EAGAIN) {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(again):
		}
	}
}
