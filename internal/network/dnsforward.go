package network

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/singleflight"
)

const (
	// A client waits 5 s before it asks again (resolv.conf(5), timeout), so the whole
	// search for an answer takes less.
	resolveTimeout = 4500 * time.Millisecond
	tryTimeout     = 1500 * time.Millisecond
	upstreamRounds = 2
	// maxForwarded is how many queries of one VPC may wait for upstream at once.
	maxForwarded = 256
	// upstreamSize is the reply, in bytes, that crosses the Internet in one piece
	// (DNS Flag Day 2020).
	upstreamSize = 1232
)

// forwarder asks the host's DNS servers, from the host's namespace, and remembers
// their answers for all VPCs.
type forwarder struct {
	host    *space
	servers serverList
	log     *slog.Logger
	cache   *cache
	flight  singleflight.Group // one question upstream for all who ask the same
	down    atomic.Bool        // so that trouble is logged once, not for each query

	ctx    context.Context // done when the forwarder is closed
	cancel context.CancelFunc
	using  sync.RWMutex // held for reading while the host's namespace is in use
}

func newForwarder(host *space, servers serverList, log *slog.Logger) *forwarder {
	f := &forwarder{host: host, servers: servers, log: log, cache: newCache(time.Now)}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

// close fails all queries, now and later, and returns when none uses the host's
// namespace any more.
func (f *forwarder) close() {
	f.cancel()
	f.using.Lock()
	defer f.using.Unlock()
}

// Why a query fails, in words for the client.
var (
	errNoServers = errors.New("the host has no DNS server configured")
	errBusy      = errors.New("too many queries of this network wait for an answer")
)

// forVPC returns the forwarder with a bound of its own, so that one VPC's flood does
// not starve the others.
func (f *forwarder) forVPC() upstream {
	return &boundedForwarder{f, make(chan struct{}, maxForwarded)}
}

type boundedForwarder struct {
	*forwarder
	slots chan struct{}
}

func (b *boundedForwarder) resolve(req *dns.Msg) (*dns.Msg, error) {
	key := keyOf(req)
	if msg := b.cache.get(key); msg != nil {
		return msg, nil
	}
	select {
	case b.slots <- struct{}{}:
		defer func() { <-b.slots }()
	default:
		return nil, errBusy
	}
	return b.ask(key, req)
}

// ask asks upstream, together with everyone who asks the same now. The answer is the
// caller's own copy.
func (f *forwarder) ask(key cacheKey, req *dns.Msg) (*dns.Msg, error) {
	q := upstreamQuery(key, req)
	v, err, _ := f.flight.Do(fmt.Sprint(key), func() (any, error) {
		ctx, cancel := context.WithTimeout(f.ctx, resolveTimeout)
		defer cancel()
		f.using.RLock()
		defer f.using.RUnlock()
		msg, err := f.exchange(ctx, q)
		if err == nil {
			f.cache.put(key, msg)
		}
		return msg, err
	})
	f.report(err)
	if err != nil {
		return nil, err
	}
	return v.(*dns.Msg).Copy(), nil
}

// upstreamQuery is the question as we ask it: only what the answer depends on, and
// nothing else that the client said.
func upstreamQuery(key cacheKey, req *dns.Msg) *dns.Msg {
	q := new(dns.Msg).SetQuestion(req.Question[0].Name, req.Question[0].Qtype)
	q.CheckingDisabled = key.cd
	q.SetEdns0(upstreamSize, key.do)
	return q
}

// report logs when upstream stops and starts to answer.
func (f *forwarder) report(err error) {
	switch {
	case err != nil && !f.down.Swap(true):
		f.log.Warn("upstream DNS does not answer", "error", err)
	case err == nil && f.down.Swap(false):
		f.log.Info("upstream DNS answers again")
	}
}

// exchange asks one server after the other, twice over.
func (f *forwarder) exchange(ctx context.Context, q *dns.Msg) (*dns.Msg, error) {
	servers, err := f.servers.list()
	if err != nil {
		return nil, err
	}
	if len(servers) == 0 {
		return nil, errNoServers
	}
	var last error
	for range upstreamRounds {
		for _, s := range servers {
			if err := ctx.Err(); err != nil {
				return nil, errors.Join(err, last)
			}
			msg, err := f.try(ctx, s, q)
			if err == nil {
				return msg, nil
			}
			last = fmt.Errorf("DNS server %s: %w", s, err)
		}
	}
	return nil, last
}

// try asks one server, over TCP if its answer does not fit a datagram.
func (f *forwarder) try(ctx context.Context, server string, q *dns.Msg) (*dns.Msg, error) {
	msg, err := f.tryOver(ctx, "udp", server, q)
	if err == nil && msg.Truncated {
		msg, err = f.tryOver(ctx, "tcp", server, q)
	}
	if err != nil {
		return nil, err
	}
	if msg.Rcode != dns.RcodeSuccess && msg.Rcode != dns.RcodeNameError {
		return nil, errors.New(dns.RcodeToString[msg.Rcode])
	}
	return plain(msg), nil
}

func (f *forwarder) tryOver(ctx context.Context, network, server string, q *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	conn, err := dialWithin(ctx, f.host.fd, network, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	q = q.Copy()
	q.Id = dns.Id()
	client := &dns.Client{Net: network, Timeout: tryTimeout}
	msg, _, err := client.ExchangeWithConnContext(ctx, q, &dns.Conn{Conn: conn, UDPSize: upstreamSize})
	if err != nil {
		return nil, err
	}
	if !msg.Response || len(msg.Question) != 1 || !sameQuestion(msg.Question[0], q.Question[0]) {
		return nil, errors.New("answer to another question")
	}
	return msg, nil
}

func sameQuestion(a, b dns.Question) bool {
	return a.Qtype == b.Qtype && a.Qclass == b.Qclass && strings.EqualFold(a.Name, b.Name)
}

// plain strips what concerns only us and the server.
func plain(msg *dns.Msg) *dns.Msg {
	msg.Authoritative = false
	msg.Extra = withoutOPT(msg.Extra)
	return msg
}

func withoutOPT(rrs []dns.RR) []dns.RR {
	var kept []dns.RR
	for _, rr := range rrs {
		if rr.Header().Rrtype != dns.TypeOPT {
			kept = append(kept, rr)
		}
	}
	return kept
}
