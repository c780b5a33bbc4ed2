package network

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/miekg/dns"
	"golang.org/x/net/netutil"
)

const dnsPort = 53

// Bounds of one VPC's DNS server.
const (
	maxTCPClients = 64   // connections at once; more wait
	maxUDP        = 4096 // bytes of a request or reply; RFC 6891 6.2.5
)

// dnsServer answers on the gateway's address inside a VPC's namespace. Nothing from
// another VPC, the host or the outside gets there: the namespace's rules let in what
// comes from its NICs.
type dnsServer struct {
	zone atomic.Pointer[zone]
	udp  *dns.Server
	tcp  *dns.Server
}

// startDNS opens the sockets in the namespace and serves until close.
func startDNS(s *space, z *zone, log *slog.Logger) (*dnsServer, error) {
	address := netip.AddrPortFrom(Gateway, dnsPort)
	var udp net.PacketConn
	var tcp net.Listener
	err := s.within(func() (err error) {
		// Bound to the gateway's address, which is also where replies come from.
		if udp, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(address)); err != nil {
			return err
		}
		if tcp, err = net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(address)); err != nil {
			return errors.Join(err, udp.Close())
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	d := &dnsServer{}
	d.zone.Store(z)
	d.udp = &dns.Server{PacketConn: udp, Handler: d, UDPSize: maxUDP}
	d.tcp = &dns.Server{Listener: netutil.LimitListener(tcp, maxTCPClients), Handler: d}
	for _, server := range []*dns.Server{d.udp, d.tcp} {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		go func() {
			if err := server.ActivateAndServe(); err != nil {
				log.Error("DNS server stopped", "error", err)
			}
		}()
		<-started // a server that has not started cannot be shut down
	}
	return d, nil
}

// close ends the server; requests in progress get a moment to finish.
func (d *dnsServer) close() {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	_ = d.udp.ShutdownContext(ctx)
	_ = d.tcp.ShutdownContext(ctx)
}

// ServeDNS implements dns.Handler.
func (d *dnsServer) ServeDNS(w dns.ResponseWriter, req *dns.Msg) {
	resp := d.zone.Load().answer(req)
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
		resp.Truncate(udpSize(req))
	}
	_ = w.WriteMsg(resp) // a client that went away is no fault of ours
}

// udpSize is how long a reply the client takes over UDP, in bytes (RFC 6891 6.2.3),
// within our own bound.
func udpSize(req *dns.Msg) int {
	if opt := req.IsEdns0(); opt != nil {
		return min(max(dns.MinMsgSize, int(opt.UDPSize())), maxUDP)
	}
	return dns.MinMsgSize
}
