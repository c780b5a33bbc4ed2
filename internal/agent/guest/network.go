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
	for _, step := range []func() error{
		func() error { return netlink.LinkSetHardwareAddr(link, mac) },
		func() error { return netlink.LinkSetMTU(link, id.MTU) },
		func() error { return netlink.LinkSetUp(link) },
		func() error { return configureAddress(link, id.Address, id.Gateway) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	if id.Address6 == "" {
		return nil
	}
	if err := enableIPv6(link); err != nil {
		return fmt.Errorf("enable IPv6: %w", err)
	}
	return configureAddress(link, id.Address6, id.Gateway6)
}

// enableIPv6 undoes one of the kernel's settings for an interface, which then has no
// address but what it is given.
func enableIPv6(link netlink.Link) error {
	if err := netlink.LinkSetIP6AddrGenMode(link, nl.IN6_ADDR_GEN_MODE_NONE); err != nil {
		return err
	}
	conf := "/proc/sys/net/ipv6/conf/" + link.Attrs().Name + "/"
	if err := os.WriteFile(conf+"accept_ra", []byte("0"), 0); err != nil {
		return err
	}
	return os.WriteFile(conf+"disable_ipv6", []byte("0"), 0)
}

// configureAddress sets an address of either family and the way out.
func configureAddress(link netlink.Link, address, gateway string) error {
	ip, via := net.ParseIP(address), net.ParseIP(gateway)
	if ip == nil || via == nil {
		return fmt.Errorf("address %q, gateway %q", address, gateway)
	}
	index := link.Attrs().Index
	// Nobody else on the link could have the address, so it is used at once.
	own := &netlink.Addr{IPNet: host(ip)}
	if ip.To4() == nil {
		own.Flags = unix.IFA_F_NODAD
	}
	for _, step := range []func() error{
		func() error { return netlink.AddrAdd(link, own) },
		func() error {
			return netlink.RouteAdd(&netlink.Route{LinkIndex: index, Scope: netlink.SCOPE_LINK, Dst: host(via)})
		},
		func() error { return netlink.RouteAdd(&netlink.Route{LinkIndex: index, Dst: everywhere(via), Gw: via}) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func host(ip net.IP) *net.IPNet {
	ip = short(ip)
	return &net.IPNet{IP: ip, Mask: net.CIDRMask(8*len(ip), 8*len(ip))}
}

// everywhere holds all addresses of the family.
func everywhere(ip net.IP) *net.IPNet {
	size := len(short(ip))
	return &net.IPNet{IP: make(net.IP, size), Mask: make(net.IPMask, size)}
}

// short is an address with as many bytes as it has on the wire.
func short(ip net.IP) net.IP {
	if four := ip.To4(); four != nil {
		return four
	}
	return ip
}
