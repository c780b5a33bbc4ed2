package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// upstreamServer is a DNS server of the lab's outside.
type upstreamServer struct {
	asked atomic.Int32
	wait  chan struct{} // answers wait until it is closed, if it is not nil
}

func (u *upstreamServer) ServeDNS(w dns.ResponseWriter, req *dns.Msg) {
	u.asked.Add(1)
	if u.wait != nil {
		<-u.wait
	}
	resp := new(dns.Msg).SetReply(req)
	q := req.Question[0]
	soa, _ := dns.NewRR("example. 60 IN SOA ns.example. root.example. 1 60 60 60 60")
	switch name := strings.ToLower(q.Name); {
	case name == "www.example.":
		rr, _ := dns.NewRR(q.Name + " 60 IN A 198.51.100.7")
		resp.Answer = []dns.RR{rr}
	case name == "long.example.":
		for i := range 100 {
			rr, _ := dns.NewRR(fmt.Sprintf("%s 60 IN A 198.51.100.%d", q.Name, i))
			resp.Answer = append(resp.Answer, rr)
		}
		if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
			resp.Truncate(512)
		}
	case name == "broken.example.":
		resp.Rcode = dns.RcodeServerFailure
	default:
		resp.Rcode = dns.RcodeNameError
		resp.Ns = []dns.RR{soa}
	}
	w.WriteMsg(resp)
}

func (l *lab) serveDNS(s *space, address string, h dns.Handler) {
	l.t.Helper()
	var pc net.PacketConn
	var ln net.Listener
	check(l.t, s.within(func() (err error) {
		if pc, err = net.ListenPacket("udp", address); err == nil {
			ln, err = net.Listen("tcp", address)
		}
		return err
	}))
	for _, srv := range []*dns.Server{{PacketConn: pc, Handler: h}, {Listener: ln, Handler: h}} {
		started := make(chan struct{})
		srv.NotifyStartedFunc = func() { close(started) }
		go srv.ActivateAndServe()
		<-started
		l.t.Cleanup(func() { srv.Shutdown() })
	}
}

// ask asks the gateway from a NIC's namespace.
func ask(s *space, network string, req *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 6*time.Second)
	defer cancel()
	conn, err := dialWithin(ctx, s.fd, network, netip.AddrPortFrom(Gateway, dnsPort).String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	c := &dns.Client{Net: network, Timeout: 6 * time.Second}
	resp, _, err := c.ExchangeWithConn(req, &dns.Conn{Conn: conn})
	return resp, err
}

func query(name string, qtype uint16) *dns.Msg {
	return new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype)
}

// said asks and renders the answer: its code and its records' data.
func (l *lab) said(s *space, network, name string, qtype uint16) string {
	l.t.Helper()
	resp, err := ask(s, network, query(name, qtype))
	if err != nil {
		l.t.Errorf("%s %s: %v", network, name, err)
		return ""
	}
	return summary(resp)
}

func summary(resp *dns.Msg) string {
	out := []string{dns.RcodeToString[resp.Rcode]}
	for _, rr := range resp.Answer {
		out = append(out, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	return strings.Join(out, " ")
}

func TestDNS(t *testing.T) {
	l := newLab(t)
	up := &upstreamServer{}
	l.serveDNS(l.outside, outsideAddr+":53", up)
	m := l.open()
	one := l.vpc("one")
	two := VPC{ID: "two", CIDR: one.CIDR, DNS: l.names, Domain: "corp.test"}
	check(t, m.Reconcile(ctx, State{
		VPCs: []VPC{one, two}, Groups: map[string][]Group{"one": {openGroup}, "two": {openGroup}},
	}))
	l.names.set("one", "web", netip.MustParseAddr("10.77.0.3"))
	l.names.set("two", "web", netip.MustParseAddr("10.77.0.9"))
	l.names.set("two", "db", netip.MustParseAddr("10.77.0.10"))
	six := nicAt("one", 3).dual().Address6
	l.names.set("one", "six", six)
	reverse, err := dns.ReverseAddr(six.String())
	check(t, err)
	a, b := l.attach(m, nicAt("one", 2)), l.attach(m, nicAt("two", 2))
	for _, network := range []string{"udp", "tcp"} {
		for _, c := range []struct {
			from  *space
			name  string
			qtype uint16
			want  string
		}{
			{a, "web", dns.TypeA, "NOERROR 10.77.0.3"},
			{a, "WEB.one.Internal", dns.TypeA, "NOERROR 10.77.0.3"},
			{a, "web.one.internal", dns.TypeAAAA, "NOERROR"},
			{a, "nobody.one.internal", dns.TypeA, "NXDOMAIN"},
			{a, "db.one.internal", dns.TypeA, "NXDOMAIN"},
			{a, "db", dns.TypeA, "NXDOMAIN"},
			{a, "db.corp.test", dns.TypeA, "NXDOMAIN"},
			{a, "3.0.77.10.in-addr.arpa", dns.TypePTR, "NOERROR web.one.internal."},
			{a, "200.0.77.10.in-addr.arpa", dns.TypePTR, "NXDOMAIN"},
			{a, "six", dns.TypeAAAA, "NOERROR " + six.String()},
			{a, reverse, dns.TypePTR, "NOERROR six.one.internal."},
			{a, "1" + reverse[1:], dns.TypePTR, "NXDOMAIN"},
			{a, "www.example", dns.TypeA, "NOERROR 198.51.100.7"},
			{a, "nothing.example", dns.TypeA, "NXDOMAIN"},
			{a, "broken.example", dns.TypeA, "SERVFAIL"},
			{b, "web", dns.TypeA, "NOERROR 10.77.0.9"},
			{b, "db.corp.test", dns.TypeA, "NOERROR 10.77.0.10"},
			{b, "web.one.internal", dns.TypeA, "NXDOMAIN"},
			{b, "9.0.77.10.in-addr.arpa", dns.TypePTR, "NOERROR web.corp.test."},
		} {
			if got := l.said(c.from, network, c.name, c.qtype); got != c.want {
				t.Errorf("%s %s %s: %q, want %q", network, c.name, dns.TypeToString[c.qtype], got, c.want)
			}
		}
	}
	if n := up.asked.Load(); n > 20 {
		t.Errorf("upstream was asked %d times: no cache?", n)
	}
	pc := listen(t, l.host, hostAddr+":0")
	question, err := query("web", dns.TypeA).Pack()
	check(t, err)
	for _, to := range []netip.Addr{Gateway, m.vpcs["one"].slot.Next()} {
		pc.WriteTo(question, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, dnsPort)))
	}
	pc.SetDeadline(time.Now().Add(blocked))
	if _, from, err := pc.ReadFrom(make([]byte, 512)); err == nil {
		t.Errorf("the host got an answer from %v", from)
	}
}

// An answer that does not fit says so, and TCP brings the whole.
func TestDNSTruncation(t *testing.T) {
	l := newLab(t)
	l.serveDNS(l.outside, outsideAddr+":53", &upstreamServer{})
	m := l.open()
	l.ensure(m, l.vpc("default"))
	a := l.attach(m, nicAt("default", 2))
	short, err := ask(a, "udp", query("long.example", dns.TypeA))
	check(t, err)
	short.Compress = true
	if !short.Truncated || len(short.Answer) == 100 || short.Len() > 512 {
		t.Errorf("over UDP: truncated %v, %d records, %d bytes", short.Truncated, len(short.Answer), short.Len())
	}
	whole, err := ask(a, "tcp", query("long.example", dns.TypeA))
	check(t, err)
	if whole.Truncated || len(whole.Answer) != 100 {
		t.Errorf("over TCP: truncated %v, %d records", whole.Truncated, len(whole.Answer))
	}
	big := query("long.example", dns.TypeA)
	big.SetEdns0(4096, false)
	if resp, err := ask(a, "udp", big); err != nil || len(resp.Answer) != 100 {
		t.Errorf("over UDP with EDNS: %v %v", resp, err)
	}
}

func TestDNSAsksUpstreamOnce(t *testing.T) {
	l := newLab(t)
	up := &upstreamServer{wait: make(chan struct{})}
	l.serveDNS(l.outside, outsideAddr+":53", up)
	m := l.open()
	l.ensure(m, l.vpc("default"))
	a := l.attach(m, nicAt("default", 2))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if got := l.said(a, "udp", "www.example", dns.TypeA); got != "NOERROR 198.51.100.7" {
				t.Error(got)
			}
		})
	}
	time.Sleep(100 * time.Millisecond)
	close(up.wait)
	wg.Wait()
	l.said(a, "udp", "www.example", dns.TypeA)
	if n := up.asked.Load(); n != 1 {
		t.Errorf("upstream was asked %d times", n)
	}
}

func TestDNSWithoutUpstream(t *testing.T) {
	l := newLab(t)
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	check(t, os.WriteFile(conf, []byte("# none yet\n"), 0o644))
	m := l.open(func(c *Config) { c.Upstreams, c.ResolvConf = nil, conf })
	l.ensure(m, l.vpc("default"))
	l.names.set("default", "web", netip.MustParseAddr("10.77.0.3"))
	a := l.attach(m, nicAt("default", 2))
	req := query("www.example", dns.TypeA)
	req.SetEdns0(1232, false)
	start := time.Now()
	resp, err := ask(a, "udp", req)
	check(t, err)
	if resp.Rcode != dns.RcodeServerFailure || time.Since(start) > time.Second || !strings.Contains(resp.String(), "no DNS server configured") {
		t.Errorf("after %v: %v", time.Since(start), resp)
	}
	if got := l.said(a, "udp", "web", dns.TypeA); got != "NOERROR 10.77.0.3" {
		t.Errorf("own name: %q", got)
	}
	l.serveDNS(l.outside, outsideAddr+":53", &upstreamServer{})
	check(t, os.WriteFile(conf+".new", []byte("nameserver "+outsideAddr+"\n"), 0o644))
	check(t, os.Rename(conf+".new", conf))
	if got := l.said(a, "udp", "www.example", dns.TypeA); got != "NOERROR 198.51.100.7" {
		t.Errorf("after resolv.conf changed: %q", got)
	}
}

// The second server answers if the first one is gone.
func TestDNSFailsOver(t *testing.T) {
	l := newLab(t)
	l.serveDNS(l.outside, outsideAddr+":5353", &upstreamServer{})
	m := l.open(func(c *Config) { c.Upstreams = []string{outsideAddr, outsideAddr + ":5353"} })
	l.ensure(m, l.vpc("default"))
	a := l.attach(m, nicAt("default", 2))
	if got := l.said(a, "udp", "www.example", dns.TypeA); got != "NOERROR 198.51.100.7" {
		t.Error(got)
	}
}

func TestCache(t *testing.T) {
	now := time.Unix(1e9, 0)
	c := newCache(func() time.Time { return now })
	answer := func(ttl int) *dns.Msg {
		m := query("x.example", dns.TypeA)
		rr, err := dns.NewRR(fmt.Sprintf("x.example. %d IN A 1.2.3.4", ttl))
		check(t, err)
		m.Answer = []dns.RR{rr}
		return m
	}
	nothing := func(rcode int, soa bool) *dns.Msg {
		m := query("x.example", dns.TypeA)
		m.Rcode = rcode
		if soa {
			rr, err := dns.NewRR("example. 3600 IN SOA a. b. 1 2 3 4 600")
			check(t, err)
			m.Ns = []dns.RR{rr}
		}
		return m
	}
	for name, k := range map[string]struct {
		msg  *dns.Msg
		want time.Duration
	}{
		"positive":       {answer(60), time.Minute},
		"long":           {answer(86400), maxPositiveTTL},
		"zero":           {answer(0), 0},
		"no such name":   {nothing(dns.RcodeNameError, true), maxNegativeTTL},
		"no such record": {nothing(dns.RcodeSuccess, true), maxNegativeTTL},
		"without SOA":    {nothing(dns.RcodeNameError, false), 0},
		"failure":        {nothing(dns.RcodeServerFailure, true), 0},
	} {
		if got := lifetime(k.msg); got != k.want {
			t.Errorf("%s: lifetime %v, want %v", name, got, k.want)
		}
	}
	key := keyOf(query("X.Example", dns.TypeA))
	c.put(key, answer(60))
	now = now.Add(20 * time.Second)
	if got := c.get(key); got == nil || got.Answer[0].Header().Ttl != 40 {
		t.Errorf("after 20 s: %v", got)
	}
	now = now.Add(40 * time.Second)
	if got := c.get(key); got != nil || len(c.entries) != 0 {
		t.Errorf("after 60 s: %v", got)
	}
	for i := range maxCached + 10 {
		c.put(cacheKey{name: fmt.Sprint(i)}, answer(60))
	}
	if len(c.entries) != maxCached || c.order.Len() != maxCached || c.get(cacheKey{name: "9"}) != nil || c.get(cacheKey{name: "10"}) == nil {
		t.Errorf("%d entries of at most %d, or not the oldest went", len(c.entries), maxCached)
	}
}

func TestParseResolvConf(t *testing.T) {
	got := parseResolvConf([]byte("search a b\n nameserver 1.1.1.1 # x\nnameserver ::1\nnameserver fe80::1%eth0\n#nameserver 2.2.2.2\nnameserver\nnameserver no\n"))
	want := []string{"1.1.1.1:53", "[::1]:53", "[fe80::1%eth0]:53"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if _, err := upstreamsOf(Config{Upstreams: []string{"dns.example"}}); err == nil {
		t.Error("a name is no upstream")
	}
}

func TestZoneRefuses(t *testing.T) {
	z := testZone()
	multi := query("a", dns.TypeA)
	multi.Question = append(multi.Question, multi.Question[0])
	chaos := query("version.bind", dns.TypeTXT)
	chaos.Question[0].Qclass = dns.ClassCHAOS
	update := query("a", dns.TypeA)
	update.Opcode = dns.OpcodeUpdate
	version := query("a", dns.TypeA)
	version.SetEdns0(1232, false)
	version.IsEdns0().SetVersion(1)
	for name, c := range map[string]struct {
		req  *dns.Msg
		want int
	}{
		"no question": {new(dns.Msg), dns.RcodeFormatError},
		"two":         {multi, dns.RcodeFormatError},
		"chaos":       {chaos, dns.RcodeRefused},
		"update":      {update, dns.RcodeNotImplemented},
		"transfer":    {query("vpc.internal", dns.TypeAXFR), dns.RcodeRefused},
		"version":     {version, dns.RcodeBadVers},
		"upstream":    {query("down.example", dns.TypeA), dns.RcodeServerFailure},
		"apex":        {query("vpc.internal", dns.TypeSOA), dns.RcodeSuccess},
	} {
		if resp := z.answer(c.req); resp.Rcode != c.want || !resp.Response {
			t.Errorf("%s: %v", name, resp)
		} else if _, err := resp.Pack(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type noUpstream struct{}

func (noUpstream) resolve(*dns.Msg) (*dns.Msg, error) {
	return nil, errors.New("down")
}

func testZone() *zone {
	n := &names{}
	n.set("vpc", "web", netip.MustParseAddr("10.77.0.3"))
	n.set("vpc", "six", netip.MustParseAddr("fd00::3"))
	others := newDomains()
	others.set("vpc", "vpc.internal")
	others.set("other", "Other.internal")
	others.set("public", "example.com")
	return &zone{
		vpc: "vpc", domain: "vpc.internal", cidrs: []netip.Prefix{netip.MustParsePrefix("10.77.0.0/16"), netip.MustParsePrefix("fd00::/48")},
		others: others, names: n, upstream: noUpstream{},
	}
}

// Names and addresses of the VPC are answered, those of other VPCs are denied, and
// neither is asked from upstream, which would show as a failure here.
func TestZone(t *testing.T) {
	z := testZone()
	six, err := dns.ReverseAddr("fd00::3")
	check(t, err)
	nobody, err := dns.ReverseAddr("fd00::4")
	check(t, err)
	outside, err := dns.ReverseAddr("2001:db8::1")
	check(t, err)
	for _, c := range []struct {
		name  string
		qtype uint16
		want  string
	}{
		{"six", dns.TypeAAAA, "NOERROR fd00::3"},
		{"six.vpc.internal", dns.TypeAAAA, "NOERROR fd00::3"},
		{"six.vpc.internal", dns.TypeA, "NOERROR"},
		{six, dns.TypePTR, "NOERROR six.vpc.internal."},
		{strings.ToUpper(six), dns.TypePTR, "NOERROR six.vpc.internal."},
		{six, dns.TypeA, "NOERROR"},
		{nobody, dns.TypePTR, "NXDOMAIN"},
		{outside, dns.TypePTR, "SERVFAIL"},
		{"f.ip6.arpa", dns.TypePTR, "SERVFAIL"},
		{"web.other.internal", dns.TypeA, "NXDOMAIN"},
		{"a.b.OTHER.internal", dns.TypeAAAA, "NXDOMAIN"},
		{"other.internal", dns.TypeSOA, "NXDOMAIN"},
		{"another.internal", dns.TypeA, "SERVFAIL"},
		{"metadata.google.internal", dns.TypeA, "SERVFAIL"},
		{"www.example.com", dns.TypeA, "SERVFAIL"},
	} {
		if got := summary(z.answer(query(c.name, c.qtype))); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.name, dns.TypeToString[c.qtype], got, c.want)
		}
	}
}

// The names of a VPC are hidden from others, and from upstream, for as long as it is there.
func TestDNSHidesOtherVPCs(t *testing.T) {
	l := newLab(t)
	up := &upstreamServer{}
	l.serveDNS(l.outside, outsideAddr+":53", up)
	m := l.open()
	two := l.vpc("two")
	two.HostReachable = false
	l.ensure(m, l.vpc("one"))
	l.ensure(m, two)
	l.names.set("two", "db", netip.MustParseAddr("10.77.0.9"))
	a := l.attach(m, nicAt("one", 2))
	for _, name := range []string{"db.two.internal", "nobody.two.internal", "two.internal", "x.y.TWO.internal"} {
		if got := l.said(a, "udp", name, dns.TypeA); got != "NXDOMAIN" {
			t.Errorf("%s: %s", name, got)
		}
	}
	if n := up.asked.Load(); n != 0 {
		t.Errorf("upstream was asked %d times", n)
	}
	check(t, m.RemoveVPC(ctx, "two"))
	l.said(a, "udp", "db.two.internal", dns.TypeA)
	if n := up.asked.Load(); n != 1 {
		t.Errorf("for a domain that is nobody's, upstream was asked %d times", n)
	}
}

// Whatever arrives, the reply is one to it and fits what the client takes.
func FuzzQuery(f *testing.F) {
	for _, name := range []string{"web", "web.vpc.internal", "six", "vpc.internal", "3.0.77.10.in-addr.arpa", "x.example", "."} {
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypePTR, dns.TypeSOA, dns.TypeANY, dns.TypeAXFR} {
			m := query(name, qtype)
			m.SetEdns0(1232, true)
			b, err := m.Pack()
			check(f, err)
			f.Add(b)
		}
	}
	z := testZone()
	f.Fuzz(func(t *testing.T, data []byte) {
		req := new(dns.Msg)
		if req.Unpack(data) != nil || req.Response {
			return
		}
		id, questions := req.Id, slices.Clone(req.Question)
		resp := z.answer(req)
		size := udpSize(req)
		resp.Truncate(size)
		out, err := resp.Pack()
		if err != nil {
			t.Fatalf("cannot pack the reply to %v: %v", req, err)
		}
		if resp.Id != id || !resp.Response || len(resp.Answer) > 0 && !slices.Equal(resp.Question, questions) {
			t.Fatalf("%v is no reply to %v", resp, req)
		}
		if len(out) > size && len(resp.Answer) > 0 {
			t.Fatalf("a reply of %d bytes for a client that takes %d", len(out), size)
		}
		if len(questions) == 1 {
			reverseAddr(strings.ToLower(strings.TrimSuffix(questions[0].Name, ".")))
			keyOf(req)
			if _, err := upstreamQuery(keyOf(req), req).Pack(); err != nil {
				t.Fatalf("cannot forward %v: %v", req, err)
			}
		}
	})
}
