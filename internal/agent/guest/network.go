package guest

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// configureNetwork gives the interface its address and the way out, as in every
// NIC of a VPC: one address, and a gateway on the link that routes everything.
func configureNetwork(ctx context.Context, id Identity) error {
	device, err := bind(NetSlot, "virtio_net")
	if err != nil {
		return err
	}
	name, err := await(ctx, below(device+"/net"))
	if err != nil {
		return err
	}
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = configureLink(link, id)
	}
	if err != nil {
		return fmt.Errorf("set up the interface %s: %w", name, err)
	}
	return nil
}

func configureLink(link netlink.Link, id Identity) error {
	mac, err := net.ParseMAC(id.MAC)
	if err != nil {
		return err
	}
	address, gateway := net.ParseIP(id.Address), net.ParseIP(id.Gateway)
	if address == nil || gateway == nil {
		return fmt.Errorf("address %q, gateway %q", id.Address, id.Gateway)
	}
	index := link.Attrs().Index
	onLink := &netlink.Route{LinkIndex: index, Scope: netlink.SCOPE_LINK, Dst: host(gateway)}
	for _, step := range []func() error{
		func() error { return netlink.LinkSetHardwareAddr(link, mac) },
		func() error { return netlink.AddrAdd(link, &netlink.Addr{IPNet: host(address)}) },
		func() error { return netlink.LinkSetMTU(link, id.MTU) },
		func() error { return netlink.LinkSetUp(link) },
		func() error { return netlink.RouteAdd(onLink) },
		func() error { return netlink.RouteAdd(&netlink.Route{LinkIndex: index, Gw: gateway}) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	if id.Address6 == "" {
		return nil
	}
	return configureLink6(link, id)
}

// configureLink6 does the same for IPv6, which the kernel was told to leave off: it shall
// neither make an address up nor believe anyone who offers one.
func configureLink6(link netlink.Link, id Identity) error {
	address, gateway := net.ParseIP(id.Address6), net.ParseIP(id.Gateway6)
	if address == nil || gateway == nil {
		return fmt.Errorf("address %q, gateway %q", id.Address6, id.Gateway6)
	}
	index, settings := link.Attrs().Index, "/proc/sys/net/ipv6/conf/"+link.Attrs().Name+"/"
	onLink := &netlink.Route{LinkIndex: index, Dst: host(gateway)}
	for _, step := range []func() error{
		func() error { return netlink.LinkSetIP6AddrGenMode(link, nl.IN6_ADDR_GEN_MODE_NONE) },
		func() error { return os.WriteFile(settings+"accept_ra", []byte("0"), 0) },
		func() error { return os.WriteFile(settings+"disable_ipv6", []byte("0"), 0) },
		func() error {
			return netlink.AddrAdd(link, &netlink.Addr{IPNet: host(address), Flags: unix.IFA_F_NODAD})
		},
		func() error { return netlink.RouteAdd(onLink) },
		func() error { return netlink.RouteAdd(&netlink.Route{LinkIndex: index, Gw: gateway}) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("IPv6: %w", err)
		}
	}
	return nil
}

// host is a network of one address.
func host(ip net.IP) *net.IPNet {
	bits := 8 * net.IPv6len
	if four := ip.To4(); four != nil {
		ip, bits = four, 8*net.IPv4len
	}
	return &net.IPNet{IP: ip, Mask: net.CIDRMask(bits, bits)}
}
