package network

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"cis/api"
)

// Resolver knows the names of a VPC's instances. It is asked for every query, from
// many goroutines, and answers from memory. Names are in lower case.
type Resolver interface {
	// Lookup returns the addresses of the instance of that name, or none.
	Lookup(vpcID, name string) []netip.Addr
	// Reverse returns the names of the instance that has the address, or none.
	Reverse(vpcID string, address netip.Addr) []string
}

// ownTTL is how long, in seconds, a client may remember an instance's address: an
// instance comes and goes within seconds.
const ownTTL = 5

// zone answers the queries of one VPC: names of its instances from the Resolver,
// addresses in its CIDRs likewise, everything else from upstream, but for the names of
// other VPCs: for those nobody is asked.
type zone struct {
	vpc      string
	domain   string // without a dot at the end
	cidrs    []netip.Prefix
	others   *domains
	names    Resolver // may be nil
	upstream upstream
}

// upstream answers a query for a name that is not ours.
type upstream interface {
	resolve(req *dns.Msg) (*dns.Msg, error)
}

func checkDomain(domain string) error {
	if _, ok := dns.IsDomainName(domain); !ok || domain == "" || strings.HasSuffix(domain, ".") || len(domain) > 190 {
		return api.FieldError("domain", "%q is not a DNS domain of at most 190 letters without a dot at the end", domain)
	}
	return nil
}

// answer always returns a reply to the request.
func (z *zone) answer(req *dns.Msg) *dns.Msg {
	switch {
	case req.Opcode != dns.OpcodeQuery:
		return refusal(req, dns.RcodeNotImplemented)
	case len(req.Question) != 1:
		return refusal(req, dns.RcodeFormatError)
	}
	q := req.Question[0]
	if q.Qclass != dns.ClassINET || q.Qtype == dns.TypeAXFR || q.Qtype == dns.TypeIXFR {
		return refusal(req, dns.RcodeRefused)
	}
	if opt := req.IsEdns0(); opt != nil && opt.Version() != 0 {
		return refusal(req, dns.RcodeBadVers)
	}
	if resp := z.own(req, q); resp != nil {
		return finish(req, resp)
	}
	resp, err := z.upstream.resolve(req)
	if err != nil {
		return unreachable(req, err)
	}
	return finish(req, resp)
}

// own answers for names and addresses of the VPC; nil for others.
func (z *zone) own(req *dns.Msg, q dns.Question) *dns.Msg {
	name := strings.ToLower(strings.TrimSuffix(q.Name, "."))
	if address, ok := reverseAddr(name); ok && slices.ContainsFunc(z.cidrs, func(p netip.Prefix) bool { return p.Contains(address) }) {
		return z.pointer(req, q, address)
	}
	domain := strings.ToLower(z.domain)
	if name == domain {
		return z.apex(req, q)
	}
	label, inside := strings.CutSuffix(name, "."+domain)
	if !inside && strings.Contains(name, ".") {
		return z.foreign(req, name)
	}
	addrs := z.lookup(label)
	if len(addrs) == 0 && !inside {
		return nil // a single label that is no instance's may be a top-level domain
	}
	resp := z.reply(req)
	if len(addrs) == 0 {
		return z.nothing(resp, dns.RcodeNameError)
	}
	for _, a := range addrs {
		if rr := addressRecord(q, a.Unmap()); rr != nil {
			resp.Answer = append(resp.Answer, rr)
		}
	}
	if len(resp.Answer) == 0 {
		return z.nothing(resp, dns.RcodeSuccess)
	}
	return resp
}

// foreign denies the names of other VPCs; nil for others.
func (z *zone) foreign(req *dns.Msg, name string) *dns.Msg {
	domain, ok := z.others.holding(name)
	if !ok {
		return nil
	}
	resp := z.reply(req)
	resp.Rcode, resp.Ns = dns.RcodeNameError, []dns.RR{soa(domain)}
	return resp
}

func (z *zone) lookup(name string) []netip.Addr {
	if z.names == nil || name == "" {
		return nil
	}
	return z.names.Lookup(z.vpc, name)
}

// addressRecord returns the A or AAAA record if the question is for that type.
func addressRecord(q dns.Question, a netip.Addr) dns.RR {
	h := dns.RR_Header{Name: q.Name, Class: dns.ClassINET, Ttl: ownTTL}
	switch {
	case a.Is4() && (q.Qtype == dns.TypeA || q.Qtype == dns.TypeANY):
		h.Rrtype = dns.TypeA
		return &dns.A{Hdr: h, A: a.AsSlice()}
	case a.Is6() && (q.Qtype == dns.TypeAAAA || q.Qtype == dns.TypeANY):
		h.Rrtype = dns.TypeAAAA
		return &dns.AAAA{Hdr: h, AAAA: a.AsSlice()}
	}
	return nil
}

// pointer answers who has an address of the VPC.
func (z *zone) pointer(req *dns.Msg, q dns.Question, address netip.Addr) *dns.Msg {
	resp := z.reply(req)
	var names []string
	if z.names != nil {
		names = z.names.Reverse(z.vpc, address)
	}
	if len(names) == 0 {
		return z.nothing(resp, dns.RcodeNameError)
	}
	if q.Qtype != dns.TypePTR && q.Qtype != dns.TypeANY {
		return z.nothing(resp, dns.RcodeSuccess)
	}
	for _, n := range names {
		resp.Answer = append(resp.Answer, &dns.PTR{
			Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypePTR, Class: dns.ClassINET, Ttl: ownTTL},
			Ptr: dns.Fqdn(n + "." + z.domain),
		})
	}
	return resp
}

// apex answers for the domain itself, which has nothing but its SOA record.
func (z *zone) apex(req *dns.Msg, q dns.Question) *dns.Msg {
	resp := z.reply(req)
	if q.Qtype != dns.TypeSOA {
		return z.nothing(resp, dns.RcodeSuccess)
	}
	resp.Answer = []dns.RR{soa(z.domain)}
	return resp
}

func (z *zone) reply(req *dns.Msg) *dns.Msg {
	resp := new(dns.Msg).SetReply(req)
	resp.Authoritative = true
	return resp
}

// nothing says that there is no such name, or no such record of a name. The SOA
// record tells how long to believe it (RFC 2308).
func (z *zone) nothing(resp *dns.Msg, rcode int) *dns.Msg {
	resp.Rcode = rcode
	resp.Ns = []dns.RR{soa(z.domain)}
	return resp
}

func soa(domain string) dns.RR {
	origin := dns.Fqdn(domain)
	return &dns.SOA{
		Hdr: dns.RR_Header{Name: origin, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: ownTTL},
		Ns:  "ns." + origin, Mbox: "hostmaster." + origin,
		Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: ownTTL,
	}
}

// finish sets what every reply has in common.
func finish(req, resp *dns.Msg) *dns.Msg {
	resp.Id = req.Id
	resp.Question = req.Question
	resp.RecursionDesired = req.RecursionDesired
	resp.RecursionAvailable = true
	resp.Compress = true
	if opt := req.IsEdns0(); opt != nil {
		resp.SetEdns0(maxUDP, opt.Do())
	}
	return resp
}

func refusal(req *dns.Msg, rcode int) *dns.Msg {
	resp := new(dns.Msg).SetRcode(req, rcode&0xf)
	resp = finish(req, resp)
	if rcode > 0xf { // the upper bits travel in the OPT record
		resp.Rcode = rcode
	}
	return resp
}

// unreachable says that no upstream server answered, and why where the client can
// read it (RFC 8914). The servers' addresses are the host's own business.
func unreachable(req *dns.Msg, cause error) *dns.Msg {
	why := "no DNS server of the host answered"
	if errors.Is(cause, errNoServers) || errors.Is(cause, errBusy) {
		why = cause.Error()
	}
	resp := finish(req, new(dns.Msg).SetRcode(req, dns.RcodeServerFailure))
	if opt := resp.IsEdns0(); opt != nil {
		opt.Option = append(opt.Option, &dns.EDNS0_EDE{
			InfoCode: dns.ExtendedErrorCodeNoReachableAuthority, ExtraText: why,
		})
	}
	return resp
}

// reverseAddr is the inverse of dns.ReverseAddr: the address of a name such as
// 2.0.64.10.in-addr.arpa, or of 32 hexadecimal digits in ip6.arpa.
func reverseAddr(name string) (netip.Addr, bool) {
	if digits, ok := strings.CutSuffix(name, ".ip6.arpa"); ok {
		return reverseAddr6(strings.Split(digits, "."))
	}
	digits, ok := strings.CutSuffix(name, ".in-addr.arpa")
	if !ok {
		return netip.Addr{}, false
	}
	f := strings.Split(digits, ".")
	if len(f) != 4 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(f[3] + "." + f[2] + "." + f[1] + "." + f[0])
	return a, err == nil
}

func reverseAddr6(digits []string) (netip.Addr, bool) {
	var a [16]byte
	if len(digits) != 2*len(a) {
		return netip.Addr{}, false
	}
	slices.Reverse(digits)
	if n, err := hex.Decode(a[:], []byte(strings.Join(digits, ""))); err != nil || n != len(a) {
		return netip.Addr{}, false
	}
	return netip.AddrFrom16(a), true
}
