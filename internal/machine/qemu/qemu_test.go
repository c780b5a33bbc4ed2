package qemu

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/vishvananda/netlink"

	"cis/internal/machine"
	"cis/internal/machine/machinetest"
	"cis/internal/machine/qemu/initramfs"
	"cis/internal/testbox"
)

func newConfig(t testing.TB) Config {
	dir := testbox.Dir(t)
	c := Config{Dir: dir, Prefix: "/cis-test-" + filepath.Base(dir), QEMU: "/usr/bin/qemu-system-x86_64", Mke2fs: "/usr/sbin/mke2fs",
		Kernel: filepath.Join(testbox.GuestKernel(t), "vmlinuz"), Initramfs: initramfs.Content{Agent: testbox.Program(t, "cis-agent"), Crun: "/usr/bin/crun",
			Tool: testbox.Program(t, "cis-pause"), ModulesFrom: filepath.Join(testbox.GuestKernel(t), "modules")}, Log: slog.Default()}
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
	return m
}

// newNIC makes an interface in a namespace of its own, with nobody at its other end.
func newNIC(t testing.TB) machine.NIC {
	ns := testbox.NetNS(t, func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "eth0"
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "peer"})
	})
	return machine.NIC{NetNS: ns, Address: "10.1.2.3", Gateway: "169.254.1.1"}
}

func TestConformance(t *testing.T) {
	c := newConfig(t)
	machinetest.Run(t, machinetest.Target{
		New: func(t testing.TB) machine.Machine { return newMachine(t, c) }, NIC: newNIC, Overhead: kernelMemory + overhead, AgentInside: true,
		Rootfs: testbox.Image(t, nil), Volume: testbox.Erofs(t, map[string]string{"file": "content"}),
	})
}
