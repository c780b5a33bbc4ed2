package guest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
)

// configureNetwork gives the interface its address and the way out, as in every
// NIC of a VPC: one address, and a gateway on the link that routes everything.
func configureNetwork(ctx context.Context, c Config) error {
	loopback, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(loopback)
	}
	if err != nil {
		return fmt.Errorf("set up the loopback interface: %w", err)
	}
	// The network is the instance's alone, so its programs may use all of its ports,
	// and send pings, without a privilege: as with docker.
	for name, value := range map[string]string{"ip_unprivileged_port_start": "0", "ping_group_range": "0 2147483647"} {
		if err := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0); err != nil {
			return err
		}
	}
	name, err := await(ctx, interfaceName)
	if err != nil {
		return err
	}
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = configureLink(link, c)
	}
	if err != nil {
		return fmt.Errorf("set up the interface %s: %w", name, err)
	}
	return nil
}

// interfaceName finds the one interface with a device behind it.
func interfaceName() (string, error) {
	paths, err := filepath.Glob("/sys/class/net/*/device")
	if err != nil || len(paths) == 0 {
		return "", fmt.Errorf("network interface: %w", errNoDevice)
	}
	return filepath.Base(filepath.Dir(paths[0])), nil
}

func configureLink(link netlink.Link, c Config) error {
	mac, err := net.ParseMAC(c.MAC)
	if err != nil {
		return err
	}
	address, gateway := net.ParseIP(c.Address), net.ParseIP(c.Gateway)
	if address == nil || gateway == nil {
		return fmt.Errorf("address %q, gateway %q", c.Address, c.Gateway)
	}
	index := link.Attrs().Index
	onLink := &netlink.Route{LinkIndex: index, Scope: netlink.SCOPE_LINK, Dst: host(gateway)}
	for _, step := range []func() error{
		func() error { return netlink.LinkSetHardwareAddr(link, mac) },
		func() error {
			return os.WriteFile("/proc/sys/net/ipv6/conf/"+link.Attrs().Name+"/disable_ipv6", []byte("1"), 0)
		},
		func() error { return netlink.AddrAdd(link, &netlink.Addr{IPNet: host(address)}) },
		func() error { return setMTU(link, c.MTU) },
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

func setMTU(link netlink.Link, mtu int) error {
	if mtu == 0 {
		return nil
	}
	return netlink.LinkSetMTU(link, mtu)
}

func host(ip net.IP) *net.IPNet { return &net.IPNet{IP: ip, Mask: net.CIDRMask(32, 32)} }
