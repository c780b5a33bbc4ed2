package qemu

import (
	"net"
	"os"
	"os/exec"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"cis/internal/osthread"
	"cis/internal/testbox"
)

// TestNetwork: a guest answers at its addresses, over the gateways, in both families.
func TestNetwork(t *testing.T) {
	c := newConfig(t)
	m := newMachine(t, c)
	if err := m.Prepare(t.Context(), 1000, small); err != nil {
		t.Fatal(err)
	}
	s := spec(t, 'a')
	s.NIC.Address6, s.NIC.Gateway6 = "fd00::2", "fe80::1"
	inside := func(f func() error) error {
		return osthread.Do(func() error {
			ns, err := os.Open(s.NIC.NetNS)
			if err != nil {
				return err
			}
			defer ns.Close()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			return f()
		})
	}
	started(t, m, s)
	err := inside(func() error {
		tap, err := netlink.LinkByName(s.NIC.Name)
		if err != nil {
			return err
		}
		for gateway, guest := range map[string]string{s.NIC.Gateway: s.NIC.Address, s.NIC.Gateway6: s.NIC.Address6} {
			if err := netlink.AddrAdd(tap, &netlink.Addr{IPNet: single(gateway), Flags: unix.IFA_F_NODAD}); err != nil {
				return err
			}
			if err := netlink.RouteAdd(&netlink.Route{LinkIndex: tap.Attrs().Index, Dst: single(guest)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{s.NIC.Address, s.NIC.Address6} {
		err := inside(func() error {
			out, err := exec.Command(testbox.Busybox(t), "ping", "-c", "1", "-W", "5", address).CombinedOutput()
			t.Logf("%s", out)
			return err
		})
		if err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// single is the network of one address.
func single(address string) *net.IPNet {
	ip := net.ParseIP(address)
	if four := ip.To4(); four != nil {
		ip = four
	}
	return &net.IPNet{IP: ip, Mask: net.CIDRMask(8*len(ip), 8*len(ip))}
}
