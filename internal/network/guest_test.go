package network

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"cis/internal/osthread"
	"cis/internal/testbox"
)

// eachKind tests one thing with both kinds of NIC.
func eachKind(t *testing.T, f func(t *testing.T, kind NICKind)) {
	for _, kind := range []NICKind{Veth, Tap} {
		t.Run(kind.String(), func(t *testing.T) { f(t, kind) })
	}
}

// as is the NIC with another kind.
func (n NIC) as(kind NICKind) NIC {
	n.Kind = kind
	return n
}

// guest is what is there of a microVM that a NIC needs: a network of its own, and a
// monitor that carries frames between the NIC's tap and the guest's card.
type guest struct {
	*space
	tap, card *os.File
}

// boot starts a guest on a tap. It ends with the test, or by its halt.
func (l *lab) boot(link Link) *guest {
	l.t.Helper()
	g := &guest{space: l.lonely()}
	check(l.t, g.within(func() error { return createTap(innerName, 0) }))
	card := tapNamed(innerName)
	check(l.t, g.route.LinkSetHardwareAddr(card, link.MAC))
	check(l.t, g.route.LinkSetMTU(card, link.MTU))
	var err error
	g.card, err = OpenTap(fmt.Sprintf("/proc/self/fd/%d", g.fd), innerName)
	check(l.t, err)
	check(l.t, ensureInner(g.space, NIC{Address: link.Address.Addr(), Address6: link.Address6.Addr()}))
	// A guest need not know the gateway's hardware address: it may ask.
	check(l.t, g.route.NeighDel(permanent(card, link.Gateway, link.GatewayMAC)))
	if link.Address6.IsValid() {
		check(l.t, g.route.NeighDel(permanent(card, link.Gateway6, link.GatewayMAC)))
	}
	g.tap, err = OpenTap(link.NetNS, link.Name)
	check(l.t, err)
	for from, to := range map[*os.File]*os.File{g.tap: g.card, g.card: g.tap} {
		go carry(from, to)
	}
	l.t.Cleanup(g.halt)
	return g
}

// halt ends the monitor, as if the machine were switched off.
func (g *guest) halt() {
	g.tap.Close()
	g.card.Close()
}

// lonely makes a namespace without a name that lasts as long as the test.
func (l *lab) lonely() (s *space) {
	l.t.Helper()
	check(l.t, osthread.Do(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		fd, err := openThreadNS()
		if err == nil {
			s, err = openSpace(fd)
		}
		return err
	}))
	l.t.Cleanup(s.close)
	return s
}

// carry moves frames, with the headers before them, until one end closes.
func carry(from, to *os.File) {
	frame := make([]byte, 1<<17)
	for {
		n, err := from.Read(frame)
		if err != nil {
			return
		}
		// A write fails while the other end is down, as on a cable without a peer.
		to.Write(frame[:n])
	}
}

// pings checks that an echo request is answered.
func (l *lab) pings(s *space, address string) {
	l.t.Helper()
	l.answers(s, "ping", address)
}

// answers pings until an answer comes. On a busy machine one may be lost: the kernel drops
// what is sent before it has noticed that both ends of a link are up.
func (l *lab) answers(s *space, ping, address string) {
	l.t.Helper()
	check(l.t, s.within(func() error {
		for end := time.Now().Add(patience); ; {
			out, err := exec.Command(testbox.Busybox(l.t), ping, "-c", "1", "-W", "2", address).CombinedOutput()
			if err == nil {
				return nil
			}
			if time.Now().After(end) {
				return fmt.Errorf("%s %s: %w\n%s", ping, address, err, out)
			}
		}
	}))
}

// outer finds the NIC's link in its VPC.
func (m *Manager) outer(t testing.TB, n NIC) netlink.Link {
	t.Helper()
	link, err := m.vpcs[n.VPC].space.route.LinkByName(outerName(m.cfg.Prefix, n.ID))
	check(t, err)
	return link
}
