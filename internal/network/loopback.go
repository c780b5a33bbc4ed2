package network

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/sys/unix"
)

// loopbackProxy leads connections to a port of ::1, which programs of the host know as
// localhost, on to 127.0.0.1. IPv6 has nothing like route_localnet: the kernel takes
// packets to ::1 from no link, so translation has no way back. The proxy is the one part
// of a published port that ends with the server.
type loopbackProxy struct {
	listener net.Listener
	host     *space
	to       string

	stop context.Context // done when the proxy is closed
	end  context.CancelFunc
	busy sync.WaitGroup
}

const (
	maxLoopback    = 64 // connections at once to one port; more wait
	loopbackDialIn = 5 * time.Second
)

// startLoopbackProxy returns nil if the host has no ::1.
func startLoopbackProxy(host *space, port uint16) (*loopbackProxy, error) {
	var listener net.Listener
	err := host.within(func() (err error) {
		listener, err = net.Listen("tcp6", netip.AddrPortFrom(netip.IPv6Loopback(), port).String())
		return err
	})
	if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p := &loopbackProxy{
		listener: netutil.LimitListener(listener, maxLoopback), host: host, to: "127.0.0.1:" + strconv.Itoa(int(port)),
	}
	p.stop, p.end = context.WithCancel(context.Background())
	p.busy.Go(p.serve)
	return p, nil
}

// Close ends the proxy and its connections.
func (p *loopbackProxy) Close() error {
	err := p.listener.Close()
	p.end()
	p.busy.Wait()
	return err
}

func (p *loopbackProxy) serve() {
	for {
		c, err := p.listener.Accept()
		switch {
		case p.stop.Err() != nil || errors.Is(err, net.ErrClosed):
			if err == nil {
				c.Close()
			}
			return
		case err != nil: // no descriptor is free, for one
			time.Sleep(100 * time.Millisecond)
		default:
			p.busy.Go(func() { p.relay(c) })
		}
	}
}

func (p *loopbackProxy) relay(client net.Conn) {
	defer client.Close()
	ctx, cancel := context.WithTimeout(p.stop, loopbackDialIn)
	server, err := dialWithin(ctx, p.host.fd, "tcp4", p.to)
	cancel()
	if err != nil {
		return
	}
	defer server.Close()
	defer context.AfterFunc(p.stop, func() { client.Close(); server.Close() })()
	var back sync.WaitGroup
	back.Go(func() { pass(client, server) })
	pass(server, client)
	back.Wait()
}

// pass copies until the source ends, and tells the destination so.
func pass(to, from net.Conn) {
	_, err := io.Copy(to, from)
	half, ok := to.(interface{ CloseWrite() error })
	if err != nil || !ok || half.CloseWrite() != nil {
		to.Close()
	}
}
