package network

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	tunDevice = "/dev/net/tun"
	// tapFlags: one queue of frames, each after a virtio_net_hdr and nothing else.
	tapFlags = unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR
	// headerSize is that of struct virtio_net_hdr (linux/virtio_net.h).
	headerSize = 10
)

// makeTap is makeNIC for a tap, which has no end that is ours beyond the outer one.
func (m *Manager) makeTap(v *vpc, n NIC) error {
	name := outerName(m.cfg.Prefix, n.ID)
	if err := v.space.within(func() error { return createTap(name, n.Owner) }); err != nil {
		return fmt.Errorf("make tap %s: %w", name, err)
	}
	tap := tapNamed(name)
	return m.complete(v, n, tap, func() error {
		if err := v.space.route.LinkSetHardwareAddr(tap, gatewayMAC); err != nil {
			return fmt.Errorf("set the gateway's hardware address: %w", err)
		}
		if err := v.space.route.LinkSetMTU(tap, m.mtu); err != nil {
			return fmt.Errorf("set MTU: %w", err)
		}
		return nil
	})
}

// tapNamed is a tap whose index the first call that needs it finds.
func tapNamed(name string) *netlink.Tuntap {
	return &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: name}}
}

// createTap makes a tap in the thread's namespace that stays when nobody has it open.
// It fails with fs.ErrExist if the name is taken.
func createTap(name string, owner uint32) error {
	fd, err := setTap(name, tapFlags|unix.IFF_TUN_EXCL)
	if errors.Is(err, unix.EBUSY) {
		return os.ErrExist
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.IoctlSetInt(fd, unix.TUNSETOWNER, int(owner)); err != nil {
		return fmt.Errorf("set owner: %w", err)
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1); err != nil {
		return fmt.Errorf("make it stay: %w", err)
	}
	return nil
}

// setTap opens a tap of the thread's namespace, and makes it if it is not there.
func setTap(name string, flags uint16) (int, error) {
	req, err := unix.NewIfreq(name)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Open(tunDevice, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", tunDevice, err)
	}
	req.SetUint16(flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("take it: %w", err)
	}
	return fd, nil
}

// OpenTap opens the tap of an attached NIC by what its Link says, for the monitor of a
// microVM. It has one reader: while one has it open, another open fails with EBUSY.
// Close the file once the monitor has it, or the tap stays taken after its end.
// The file is close-on-exec and does not block; each frame in it has a virtio_net_hdr
// of 10 bytes before it and needs no offload, until the reader sets it otherwise.
func OpenTap(netns, name string) (*os.File, error) {
	f, err := openTap(netns, name)
	if err != nil {
		return nil, fmt.Errorf("open tap %s: %w", name, err)
	}
	return f, nil
}

func openTap(netns, name string) (*os.File, error) {
	fd, err := unix.Open(netns, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", netns, err)
	}
	s, err := openSpace(fd)
	if err != nil {
		return nil, err
	}
	defer s.close()
	err = s.within(func() (err error) {
		fd, err = takeTap(name)
		return err
	})
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	if err := awaitCarrier(s.route, tapNamed(name)); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// takeTap opens a tap of the thread's namespace that is there.
func takeTap(name string) (int, error) {
	fd, err := setFreeTap(name)
	if err != nil {
		return -1, err
	}
	// One that was not there has just been made, and goes with its descriptor.
	req, err := unix.NewIfreq(name)
	if err == nil {
		err = unix.IoctlIfreq(fd, unix.TUNGETIFF, req)
	}
	if err == nil && req.Uint16()&unix.IFF_PERSIST == 0 {
		err = os.ErrNotExist
	}
	if err == nil {
		err = resetTap(fd)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// freeing is how long a tap may still be taken that its maker has closed: a process
// that is just being started has its descriptor too, until it executes its program.
const freeing = time.Second

// setFreeTap is setTap for a tap that nobody shall have open.
func setFreeTap(name string) (fd int, err error) {
	for end := time.Now().Add(freeing); ; time.Sleep(2 * time.Millisecond) {
		if fd, err = setTap(name, tapFlags); !errors.Is(err, unix.EBUSY) || time.Now().After(end) {
			return fd, err
		}
	}
}

// resetTap undoes what the last reader set, which stays with the tap.
func resetTap(fd int) error {
	if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, 0); err != nil {
		return fmt.Errorf("turn offloads off: %w", err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, headerSize); err != nil {
		return fmt.Errorf("set header size: %w", err)
	}
	return nil
}

// isTap says whether the link is a tap as createTap makes it.
func isTap(link netlink.Link, owner uint32) bool {
	t, ok := link.(*netlink.Tuntap)
	return ok && t.Mode == netlink.TUNTAP_MODE_TAP && !t.NonPersist && t.Owner == owner &&
		t.Flags == netlink.TUNTAP_NO_PI|netlink.TUNTAP_VNET_HDR
}

// removeTap removes the tap of a NIC, even from a machine that holds it.
func (m *Manager) removeTap(v *vpc, nicID string) error {
	tap, err := findLink(v.space.route, outerName(m.cfg.Prefix, nicID))
	if err == nil {
		err = deleteLink(v.space.route, tap)
	}
	if err != nil {
		return fmt.Errorf("remove tap: %w", err)
	}
	return nil
}

// cutTaps removes the taps of the namespace with the name, if there is one.
func cutTaps(prefix, name string) error {
	fd, err := findSpace(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	s, err := openSpace(fd)
	if err != nil {
		return err
	}
	defer s.close()
	links, err := dump(s.route.LinkList)
	if err != nil {
		return fmt.Errorf("list links: %w", err)
	}
	var errs []error
	for _, l := range links {
		if _, ok := l.(*netlink.Tuntap); ok && ownsLink(prefix, l, "n") {
			errs = append(errs, deleteLink(s.route, l))
		}
	}
	return errors.Join(errs...)
}
