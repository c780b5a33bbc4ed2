package network

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A connection that was let in once is let on by the kernel's memory of it. What takes
// a right back has to make it forget; what comes next is then looked up anew, and the
// middle of a TCP connection that is unknown counts as invalid (see vpcSysctls).

// forgetIf makes the namespace forget the connections for which f says so. It looks
// first, once for both families: the kernel goes through the table of all namespaces to
// list those of one, and mostly there is nothing to forget.
func (s *space) forgetIf(f func(*netlink.ConntrackFlow) bool) error {
	h, err := netlink.NewHandleAt(netns.NsHandle(s.fd), unix.NETLINK_NETFILTER)
	if err != nil {
		return fmt.Errorf("open conntrack: %w", err)
	}
	defer h.Close()
	all, err := dump(func() ([]*netlink.ConntrackFlow, error) {
		return h.ConntrackTableList(netlink.ConntrackTable, unix.AF_UNSPEC)
	})
	if err != nil {
		return fmt.Errorf("list connections: %w", err)
	}
	meant := map[uint8]bool{} // by family
	for _, flow := range all {
		meant[flow.FamilyType] = meant[flow.FamilyType] || f(flow)
	}
	var errs []error
	for family, some := range meant {
		if some {
			_, err := h.ConntrackDeleteFilters(netlink.ConntrackTable, netlink.InetFamily(family), flowFilter(f))
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("forget connections: %w", err)
	}
	return nil
}

type flowFilter func(*netlink.ConntrackFlow) bool

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (f flowFilter) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool { return f(flow) }

// opening is the packet that a connection began with, after a change of its
// destination.
func opening(flow *netlink.ConntrackFlow) packet {
	source, _ := netip.AddrFromSlice(flow.Forward.SrcIP)
	destination, _ := netip.AddrFromSlice(flow.Reverse.SrcIP)
	return packet{
		source: source.Unmap(), destination: destination.Unmap(),
		protocol: Protocol(flow.Forward.Protocol), port: flow.Reverse.SrcPort,
		translated: !flow.Forward.DstIP.Equal(flow.Reverse.SrcIP),
	}
}

// cut ends the connections of NICs that would not be let through any more. Hold
// policy.mu.
func (v *vpc) cut() error { return v.cutIf(v.involves) }

// cutAll ends those of addresses that no NIC has, too. Hold policy.mu.
func (v *vpc) cutAll() error {
	err := v.cutIf(func(packet) bool { return true })
	if err == nil {
		clear(v.policy.stale)
		v.policy.uncut = false
	}
	return err
}

func (v *vpc) cutIf(concerned func(packet) bool) error {
	err := v.space.forgetIf(func(flow *netlink.ConntrackFlow) bool {
		p := opening(flow)
		if v.isRouter(p.source) || v.isRouter(p.destination) || isPublished(flow) || !concerned(p) {
			return false
		}
		// The list tells no ICMP types. Forgetting costs an exchange of messages nothing
		// if the next may pass.
		return p.protocol.isICMP() || !allowed(v.judge(p))
	})
	v.policy.uncut = v.policy.uncut || err != nil
	return err
}

func (v *vpc) involves(p packet) bool {
	return v.policy.members[p.source] != nil || v.policy.members[p.destination] != nil
}

// isPublished says whether a connection came by a published port.
func isPublished(flow *netlink.ConntrackFlow) bool { return flow.Mark&ctMarkPublished != 0 }

// isRouter says whether the address is one of the VPC's namespace itself.
func (v *vpc) isRouter(a netip.Addr) bool {
	return a == Gateway || a == Gateway6 || v.slot.IsValid() && a == v.slot.Next() || v.CIDR6.IsValid() && a == vpcEnd6(v.CIDR6)
}

// forgetStale makes the addresses of departed NICs fit for new ones. Hold policy.mu.
func (v *vpc) forgetStale() error {
	stale := v.policy.stale
	err := v.space.forgetIf(func(flow *netlink.ConntrackFlow) bool {
		p := opening(flow)
		return stale[p.source] || stale[p.destination]
	})
	if err == nil {
		clear(stale)
	}
	return err
}
