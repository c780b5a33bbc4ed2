package network

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// matchFlow says which connections are meant.
type matchFlow func(*netlink.ConntrackFlow) bool

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (m matchFlow) MatchConntrackFlow(f *netlink.ConntrackFlow) bool { return m(f) }

// cut makes the namespace forget connections. Their next packet meets the rules like
// the first of a new one.
func (s *space) cut(f family, match matchFlow) error {
	h, err := netlink.NewHandleAt(netns.NsHandle(s.fd), unix.NETLINK_NETFILTER)
	if err != nil {
		return fmt.Errorf("open conntrack: %w", err)
	}
	defer h.Close()
	for range dumpTries {
		_, err = h.ConntrackDeleteFilters(netlink.ConntrackTable, netlink.InetFamily(f.conntrack()), match)
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("cut connections: %w", err)
	}
	return nil
}

func (f family) conntrack() int {
	if f.number == unix.NFPROTO_IPV6 {
		return unix.AF_INET6
	}
	return unix.AF_INET
}
