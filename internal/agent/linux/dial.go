package linux

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"cis/api"
	"cis/internal/agent/reach"
)

// Try implements runtime.Runtime: the network of this process is that of the containers.
func (r *Runtime) Try(_ context.Context, udp bool, to netip.AddrPort, wait time.Duration) (result, detail string, err error) {
	got, detail, err := reach.Try(udp, to, wait)
	return string(got), detail, err
}

// Dial implements runtime.Runtime: the network of this process is that of the
// containers. What it returns is a *net.TCPConn.
func (r *Runtime) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	var dialer net.Dialer
	if to.Addr().IsValid() {
		return dialer.DialContext(ctx, "tcp", to.String())
	}
	number := strconv.Itoa(int(to.Port()))
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", number))
	if err == nil {
		return conn, nil
	}
	if conn, err6 := dialer.DialContext(ctx, "tcp", net.JoinHostPort("::1", number)); err6 == nil {
		return conn, nil
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("dial port %d: %w", to.Port(), context.Cause(ctx))
	}
	return nil, &api.Error{Code: api.Unavailable, Message: err.Error(), Next: "check that the program listens on this port"}
}
