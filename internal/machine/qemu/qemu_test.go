package qemu

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/vishvananda/netlink"

	"cis/api"
	"cis/internal/machine"
	"cis/internal/machine/machinetest"
	"cis/internal/machine/qemu/initramfs"
	"cis/internal/network"
	"cis/internal/testbox"
)

func newConfig(t testing.TB) Config {
	dir := testbox.Dir(t)
	c := Config{Dir: dir, Prefix: "/cis-test-" + filepath.Base(dir), QEMU: "/usr/bin/qemu-system-x86_64", Mke2fs: "/usr/sbin/mke2fs",
		Kernel: filepath.Join(testbox.GuestKernel(t), "vmlinuz"), Initramfs: initramfs.Content{Agent: testbox.Program(t, "cis-agent"),
			Tool: testbox.Program(t, "cis-pause"), ModulesFrom: filepath.Join(testbox.GuestKernel(t), "modules")}, OpenTap: network.OpenTap, Log: slog.Default()}
	t.Cleanup(func() {
		if err := newMachine(t, c).Clean(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return c
}

func newMachine(t testing.TB, c Config) *Machine {
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// newNIC makes a tap in a namespace of its own, with nobody at its other end.
func newNIC(t testing.TB) machine.NIC {
	ns := testbox.NetNS(t, func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "tap"
		tap := &netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TAP, Flags: netlink.TUNTAP_NO_PI | netlink.TUNTAP_VNET_HDR}
		if err := netlink.LinkAdd(tap); err != nil {
			return err
		}
		return netlink.LinkSetUp(tap)
	})
	return machine.NIC{NetNS: ns, Name: "tap", Address: "10.1.2.3", Gateway: "169.254.1.1", MAC: "02:00:00:01:02:03", MTU: 1500}
}

// small is the size of the suite's sandboxes.
const small = 128 * api.MiB

func TestConformance(t *testing.T) {
	c := newConfig(t)
	if err := newMachine(t, c).Prepare(t.Context(), 1000, small); err != nil {
		t.Fatal(err)
	}
	machinetest.Run(t, machinetest.Target{
		New: func(t testing.TB) machine.Machine { return newMachine(t, c) }, NIC: newNIC, AgentInside: true,
		Rootfs: testbox.Image(t, nil), Volume: testbox.Erofs(t, map[string]string{"file": "content"}),
	})
}
