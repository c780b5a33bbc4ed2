package qemu

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"cis/internal/osthread"
)

// tap is the host's end of a VM's interface.
type tap struct {
	file *os.File
	mac  net.HardwareAddr
	mtu  int
}

// openTap gives a VM the interface of a NIC: in the NIC's namespace, a bridge joins it
// with a tap. The VM takes over its hardware address, by which the VPC knows it, and
// its address; all that is made here goes with the namespace.
func openTap(netns string) (t *tap, err error) {
	err = osthread.Do(func() error {
		ns, err := os.Open(netns)
		if err != nil {
			return err
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		t, err = bridgeTap()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make the VM's interface: %w", err)
	}
	return t, nil
}

// Names in the NIC's namespace.
const (
	bridgeName = "vmbr"
	tapName    = "vmtap"
)

func bridgeTap() (*tap, error) {
	outer, err := theInterface()
	if err != nil {
		return nil, err
	}
	t := &tap{mac: outer.Attrs().HardwareAddr, mtu: outer.Attrs().MTU}
	if err := handOver(outer); err != nil {
		return nil, err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.HardwareAddr = bridgeName, t.mtu, randomMAC()
	bridge := &netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: new(bool)}
	if err := netlink.LinkAdd(bridge); err != nil {
		return nil, fmt.Errorf("make the bridge: %w", err)
	}
	attrs = netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = tapName, t.mtu
	port := &netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TAP, NonPersist: true, Queues: 1,
		Flags: netlink.TUNTAP_ONE_QUEUE | netlink.TUNTAP_VNET_HDR}
	if err := netlink.LinkAdd(port); err != nil {
		return nil, fmt.Errorf("make the tap: %w", err)
	}
	t.file = port.Fds[0]
	if err := errors.Join(join(port, bridge), join(outer, bridge), up(bridge)); err != nil {
		t.file.Close()
		return nil, err
	}
	return t, nil
}

// theInterface is the one that the NIC is: of its kind there is no other.
func theInterface() (netlink.Link, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, err
	}
	for _, link := range links {
		if link.Type() == "veth" {
			return link, nil
		}
	}
	return nil, errors.New("the NIC's namespace has no interface")
}

// handOver takes from an interface what the VM will have.
func handOver(link netlink.Link) error {
	addresses, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	for _, address := range addresses {
		if err := netlink.AddrDel(link, &address); err != nil {
			return fmt.Errorf("take %s from the interface: %w", address.IPNet, err)
		}
	}
	if err := netlink.LinkSetHardwareAddr(link, randomMAC()); err != nil {
		return fmt.Errorf("change the interface's hardware address: %w", err)
	}
	return nil
}

// randomMAC is one that is locally administered, and nobody's group's.
func randomMAC() net.HardwareAddr {
	mac := make(net.HardwareAddr, 6)
	rand.Read(mac)
	mac[0] = mac[0]&^1 | 2
	return mac
}

func join(link netlink.Link, bridge *netlink.Bridge) error {
	if err := netlink.LinkSetMaster(link, bridge); err != nil {
		return fmt.Errorf("join %s to the bridge: %w", link.Attrs().Name, err)
	}
	return up(link)
}

// up brings a link up without an address that nobody gave.
func up(link netlink.Link) error {
	err := netlink.LinkSetIP6AddrGenMode(link, 1) // IN6_ADDR_GEN_MODE_NONE
	if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) {
		return err
	}
	return netlink.LinkSetUp(link)
}
