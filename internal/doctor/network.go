package doctor

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"cis/internal/osthread"
)

// veth makes a pair of links in a namespace of its own, which goes with its thread.
func (h *host) veth(context.Context) Finding {
	f := Finding{Check: "veth"}
	if !h.superuser {
		f.Level, f.Detail = Warning, "not tried without root"
		return f
	}
	err := osthread.Do(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		info := attribute(unix.IFLA_LINKINFO, attribute(unix.IFLA_INFO_KIND, []byte("veth")))
		_, err := ask(unix.NETLINK_ROUTE, unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, append(make([]byte, unix.SizeofIfInfomsg), info...))
		return err
	})
	if err != nil {
		f.Level, f.Detail, f.Next = Problem, "a veth pair cannot be made: "+err.Error(), "load the module veth, or use a distribution's kernel"
		return f
	}
	f.Detail = "pairs can be made"
	return f
}

// nfMessage is the type of a message of nf_tables, nfHeader its fixed part for any family.
func nfMessage(kind uint16) uint16 { return unix.NFNL_SUBSYS_NFTABLES<<8 | kind }

var nfHeader = []byte{unix.AF_UNSPEC, 0 /* NFNETLINK_V0 */, 0, 0}

func (h *host) nftables(context.Context) Finding {
	f := Finding{Check: "nftables", Detail: "the kernel has it"}
	_, err := ask(unix.NETLINK_NETFILTER, nfMessage(unix.NFT_MSG_GETGEN), 0, nfHeader)
	switch {
	case errors.Is(err, unix.EPERM):
		f.Level, f.Detail = Warning, "not asked without root"
	case err != nil:
		f.Level, f.Detail, f.Next = Problem, "the kernel has no nftables: "+err.Error(), "load the module nf_tables, or use a distribution's kernel"
	}
	return f
}

func (h *host) forwarding(context.Context) Finding {
	f := Finding{Check: "forwarding", Detail: "on"}
	if h.read("/proc/sys/net/ipv4/ip_forward") != "1" {
		f.Detail = "off; cisd turns net.ipv4.ip_forward on"
	}
	return f
}

// chain is a base chain of nftables.
type chain struct {
	family      byte
	table, name string
	hook        uint32
	policy      uint32
	base        bool
}

// The values of NFT_CHAIN_POLICY, from linux/netfilter.h.
const nfDrop = 0

// firewalls looks for others' chains that drop what is forwarded: in netfilter a
// packet has to be accepted by every table.
func (h *host) firewalls(context.Context) Finding {
	f := Finding{Check: "firewalls", Detail: "none drops what is forwarded"}
	messages, err := ask(unix.NETLINK_NETFILTER, nfMessage(unix.NFT_MSG_GETCHAIN), unix.NLM_F_DUMP, nfHeader)
	if err != nil {
		f.Level, f.Detail = Warning, "not looked at: "+err.Error()
		return f
	}
	for _, m := range messages {
		c := parseChain(m.Data)
		ipv4 := c.family == unix.NFPROTO_IPV4 || c.family == unix.NFPROTO_INET
		if c.base && ipv4 && c.hook == unix.NF_INET_FORWARD && c.policy == nfDrop {
			f.Level = Warning
			f.Detail = fmt.Sprintf("chain %s of table %s drops forwarded packets that its rules do not accept, instances' too", c.name, c.table)
			f.Next = "accept them there, with iptables: iptables -I FORWARD -i cis-+ -j ACCEPT; iptables -I FORWARD -o cis-+ -j ACCEPT"
			return f
		}
	}
	if strings.Contains(h.read("/proc/net/ip_tables_names"), "filter") {
		f.Level, f.Detail = Warning, "legacy iptables has a filter table, which cannot be read from here"
		f.Next = "look at iptables-legacy -S FORWARD; where its policy is DROP: iptables-legacy -I FORWARD -i cis-+ -j ACCEPT, and the same with -o"
	}
	return f
}

// parseChain reads a message NFT_MSG_NEWCHAIN; numbers in it are big-endian.
func parseChain(data []byte) (c chain) {
	if len(data) < len(nfHeader) {
		return c
	}
	c.family, c.policy = data[0], 1
	for kind, value := range attributes(data[len(nfHeader):]) {
		switch {
		case kind == unix.NFTA_CHAIN_TABLE:
			c.table = unix.ByteSliceToString(value)
		case kind == unix.NFTA_CHAIN_NAME:
			c.name = unix.ByteSliceToString(value)
		case kind == unix.NFTA_CHAIN_POLICY && len(value) == 4:
			c.policy = binary.BigEndian.Uint32(value)
		case kind == unix.NFTA_CHAIN_HOOK:
			c.base = true
			for kind, value := range attributes(value) {
				if kind == unix.NFTA_HOOK_HOOKNUM && len(value) == 4 {
					c.hook = binary.BigEndian.Uint32(value)
				}
			}
		}
	}
	return c
}

// routes looks for routes of the host to where the instances' addresses are.
func (h *host) routes(context.Context) Finding {
	f := Finding{Check: "addresses"}
	var names []string
	for _, r := range h.Ranges {
		names = append(names, r.String())
	}
	f.Detail = strings.Join(names, " and ") + " are free"
	for _, route := range parseRoutes(h.read("/proc/net/route")) {
		for _, r := range h.Ranges {
			if route.to.Bits() > 0 && route.to.Overlaps(r) && !strings.HasPrefix(route.device, "cis-") {
				f.Level, f.Detail = Problem, fmt.Sprintf("the host has a route to %s over %s, within %s", route.to, route.device, r)
				f.Next = "start cisd with another -cidr or -link-cidr"
				return f
			}
		}
	}
	return f
}

type route struct {
	device string
	to     netip.Prefix
}

// parseRoutes reads /proc/net/route: addresses and masks in it are hexadecimal, in
// the host's byte order.
func parseRoutes(text string) (all []route) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 8 {
			continue
		}
		address, ok := hexAddress(fields[1])
		mask, ok2 := hexAddress(fields[7])
		if !ok || !ok2 {
			continue // the header
		}
		bits := 0
		for m := mask.As4(); bits < 32 && m[bits/8]>>(7-bits%8)&1 == 1; {
			bits++
		}
		all = append(all, route{fields[0], netip.PrefixFrom(address, bits)})
	}
	return all
}

func hexAddress(s string) (netip.Addr, bool) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 4 {
		return netip.Addr{}, false
	}
	var a [4]byte
	binary.NativeEndian.PutUint32(a[:], binary.BigEndian.Uint32(b))
	return netip.AddrFrom4(a), true
}

func (h *host) dns(context.Context) Finding {
	f := Finding{Check: "dns"}
	var servers []string
	for line := range strings.Lines(h.read("/etc/resolv.conf")) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "nameserver" {
			servers = append(servers, fields[1])
		}
	}
	if f.Detail = "servers: " + strings.Join(servers, ", "); len(servers) == 0 {
		f.Level, f.Detail = Warning, "/etc/resolv.conf names no server: instances can resolve each other only"
		f.Next = "add a nameserver line, or start cisd with -dns ADDRESS"
	}
	return f
}
