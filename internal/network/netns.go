package network

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"cis/internal/osthread"
)

// netnsDir is where named namespaces are bound, so that `ip netns` sees them.
const netnsDir = "/run/netns"

// threadNS is the namespace of the calling thread.
const threadNS = "/proc/thread-self/ns/net"

// prepareNetnsDir makes netnsDir a shared mount as `ip netns` does. Without it a
// later `ip netns add` would bind the directory over itself, copy our mounts with
// it, and so keep our namespaces alive after we removed them. An empty directory becomes
// one in memory: in one on a disk, where /run is on one, a name takes the longer to make
// the more have gone of late.
func prepareNetnsDir() error {
	if err := os.MkdirAll(netnsDir, 0o755); err != nil {
		return err
	}
	shared := func() error { return unix.Mount("", netnsDir, "none", unix.MS_SHARED|unix.MS_REC, "") }
	if err := shared(); err == nil {
		return nil
	} else if err != unix.EINVAL {
		return fmt.Errorf("share %s: %w", netnsDir, err)
	}
	entries, err := os.ReadDir(netnsDir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		err = unix.Mount(netnsDir, netnsDir, "none", unix.MS_BIND|unix.MS_REC, "")
	} else {
		err = unix.Mount("tmpfs", netnsDir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=755")
	}
	if err != nil {
		return fmt.Errorf("mount %s: %w", netnsDir, err)
	}
	if err := shared(); err != nil {
		return fmt.Errorf("share %s: %w", netnsDir, err)
	}
	return nil
}

func spacePath(name string) string { return filepath.Join(netnsDir, name) }

// space is an open network namespace. Nothing in it changes after it is made.
type space struct {
	fd    int
	route *netlink.Handle // rtnetlink socket in the namespace; safe for concurrent use
}

// openSpace takes over fd.
func openSpace(fd int) (*space, error) {
	h, err := netlink.NewHandleAt(netns.NsHandle(fd), unix.NETLINK_ROUTE)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	// Dumps of one link's addresses or routes are then filtered by the kernel;
	// an old kernel that cannot do it is filtered for by the library.
	_ = h.SetStrictCheck(true)
	return &space{fd: fd, route: h}, nil
}

// neighbours lists the namespace's neighbour entries. The library sends the unset
// padding of its request's struct along, which a strict kernel refuses: this needs a
// socket without that check.
func (s *space) neighbours() ([]netlink.Neigh, error) {
	h, err := netlink.NewHandleAt(netns.NsHandle(s.fd), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	defer h.Close()
	return dump(func() ([]netlink.Neigh, error) { return h.NeighList(0, netlink.FAMILY_ALL) })
}

func (s *space) close() {
	s.route.Close()
	unix.Close(s.fd)
}

// within runs f on a thread that is in the namespace. Sockets that f makes stay
// there; goroutines that f starts do not.
func (s *space) within(f func() error) error { return within(s.fd, f) }

func within(fd int, f func() error) error {
	return osthread.Do(func() error {
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace: %w", err)
		}
		return f()
	})
}

func openThreadNS() (int, error) {
	fd, err := unix.Open(threadNS, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", threadNS, err)
	}
	return fd, nil
}

// createSpace makes a namespace, names it and returns it open. It fails with
// fs.ErrExist if the name is taken, and leaves no name behind when it fails otherwise.
func createSpace(name string) (fd int, err error) {
	path := spacePath(name)
	f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return -1, err
	}
	f.Close()
	err = osthread.Do(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make network namespace %s: %w", name, err)
		}
		if fd, err = openThreadNS(); err != nil {
			return err
		}
		if err = bindSpace(fd, path); err != nil {
			unix.Close(fd)
		}
		return err
	})
	if err != nil {
		return -1, errors.Join(err, removeSpace(name))
	}
	return fd, nil
}

// bindSpace names an open namespace; the file at path must exist.
func bindSpace(fd int, path string) error {
	if err := unix.Mount(fmt.Sprintf("/proc/thread-self/fd/%d", fd), path, "none", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", path, err)
	}
	return nil
}

// rebindSpace gives an open namespace its name again after someone removed it.
func rebindSpace(fd int, name string) error {
	if err := removeSpace(name); err != nil {
		return err
	}
	path := spacePath(name)
	if err := os.WriteFile(path, nil, 0o444); err != nil {
		return err
	}
	return bindSpace(fd, path)
}

// findSpace opens a named namespace. It fails with fs.ErrNotExist if there is none,
// which includes a name that a crash left without its namespace.
func findSpace(name string) (int, error) {
	path := spacePath(name)
	if !isSpace(path) {
		return -1, fmt.Errorf("network namespace %s: %w", name, os.ErrNotExist)
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", path, err)
	}
	return fd, nil
}

func isSpace(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == unix.NSFS_MAGIC
}

// sameSpace says whether the name stands for the open namespace.
func sameSpace(fd int, name string) bool {
	var a, b unix.Stat_t
	return unix.Fstat(fd, &a) == nil && unix.Stat(spacePath(name), &b) == nil && a.Dev == b.Dev && a.Ino == b.Ino
}

// removeSpace takes a namespace's name away; one that is not there is fine. The
// kernel destroys the namespace, and every link in it, once no process and no open
// file holds it.
func removeSpace(name string) error {
	path := spacePath(name)
	for {
		err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if err != nil && err != unix.EINVAL && err != unix.ENOENT {
			return fmt.Errorf("unmount %s: %w", path, err)
		}
		mounted := err == nil
		switch err := os.Remove(path); {
		case err == nil, errors.Is(err, os.ErrNotExist):
			return nil
		case mounted && errors.Is(err, unix.EBUSY): // bound more than once
		default:
			return err
		}
	}
}

// listSpaces returns the names under netnsDir that begin with prefix, with the
// prefix cut off.
func listSpaces(prefix string) ([]string, error) {
	entries, err := os.ReadDir(netnsDir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		if id, ok := strings.CutPrefix(e.Name(), prefix); ok {
			ids = append(ids, id)
		}
	}
	return ids, nil
}
