// Package subpath opens places in volumes whose content others may change at the same
// time. Symlinks are followed as far as they stay in the volume, and nothing is looked up
// by more than one name at a time, so that no change under way leads out of it.
//
// It runs where the volume is: in the agent in a VM, in cis-pause in a gVisor sandbox.
package subpath

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks bounds the symlinks on the way, as Linux does.
const maxLinks = 40

// errOutside: the path leads out of the volume.
var errOutside = errors.New("leads out of the volume")

// Open opens the file or directory at a relative path in the volume, a directory, for its
// place only (O_PATH); without a path the volume itself. A directory that does not exist is made, with the permissions and the group of
// the volume's root. The caller closes the descriptor.
func Open(volume, path string) (fd int, err error) {
	w := walk{}
	defer w.close()
	err = w.begin(volume)
	if err == nil {
		err = w.follow(path)
	}
	if err != nil {
		return -1, fmt.Errorf("path %q in the volume: %w", path, err)
	}
	return w.take(), nil
}

// walk is a way into a volume.
type walk struct {
	// places from the volume's root to where the walk is.
	places []int
	// mode of the root.
	mode  uint32
	links int
}

func (w *walk) begin(volume string) error {
	root, err := unix.Open(volume, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	w.places = append(w.places, root)
	var info unix.Stat_t
	if err := unix.Fstat(root, &info); err != nil {
		return err
	}
	w.mode = info.Mode & 0o7777
	return nil
}

func (w *walk) here() int { return w.places[len(w.places)-1] }

// back leaves the last place.
func (w *walk) back() {
	unix.Close(w.take())
}

// take hands over the last place.
func (w *walk) take() int {
	fd := w.here()
	w.places = w.places[:len(w.places)-1]
	return fd
}

func (w *walk) close() {
	for len(w.places) > 0 {
		w.back()
	}
}

func (w *walk) follow(path string) error {
	if strings.HasPrefix(path, "/") {
		return errOutside
	}
	for name := range strings.SplitSeq(path, "/") {
		if err := w.step(name); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) step(name string) error {
	switch name {
	case "", ".":
		return nil
	case "..":
		if len(w.places) == 1 {
			return errOutside
		}
		w.back()
		return nil
	}
	fd, err := w.open(name)
	if err != nil {
		return err
	}
	var info unix.Stat_t
	if err := unix.Fstat(fd, &info); err != nil {
		unix.Close(fd)
		return err
	}
	if info.Mode&unix.S_IFMT != unix.S_IFLNK {
		w.places = append(w.places, fd)
		return nil
	}
	unix.Close(fd)
	return w.link(name)
}

// link goes where a symlink leads.
func (w *walk) link(name string) error {
	if w.links++; w.links > maxLinks {
		return unix.ELOOP
	}
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(w.here(), name, target)
	if err != nil {
		return err
	}
	return w.follow(string(target[:n]))
}

const place = unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC

// open opens what has a name here, a symlink as such.
func (w *walk) open(name string) (fd int, err error) {
	fd, err = unix.Openat(w.here(), name, place, 0)
	if err != unix.ENOENT {
		return fd, err
	}
	if err := w.make(name); err != nil {
		return -1, err
	}
	return unix.Openat(w.here(), name, place, 0)
}

// make makes a directory. One that somebody else made meanwhile is as good.
func (w *walk) make(name string) error {
	err := unix.Mkdirat(w.here(), name, w.mode)
	switch err {
	case nil:
	case unix.EEXIST:
		return nil
	case unix.EROFS:
		return errors.New("does not exist, and the volume is read-only")
	default:
		return fmt.Errorf("make it: %w", err)
	}
	// The mode was subject to the umask.
	made, err := unix.Openat(w.here(), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(made)
	return unix.Fchmod(made, w.mode)
}
