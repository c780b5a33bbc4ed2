package guest

import (
	"context"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
)

// configureNetwork gives the interface its address and the way out, as in every
// NIC of a VPC: one address, and a gateway on the link that routes everything.
func configureNetwork(ctx context.Context, d devices, id Identity) error {
	device, err := d.bind(NetSlot, "virtio_net")
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
	return nil
}

func host(ip net.IP) *net.IPNet { return &net.IPNet{IP: ip, Mask: net.CIDRMask(32, 32)} }
