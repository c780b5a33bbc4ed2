// Package disk keeps the files of disks and of their snapshots: each is the content of a
// block device with an ext4 file system.
//
// A disk's space is its own from its creation: no program that writes to it meets a host
// without room. A snapshot has what its disk had been given by its programs, and shares
// blocks with it where the host's file system can.
//
// Whoever uses a disk has it open, and locked, and so has the kernel for whatever it made
// of the open file (a loop device, a descriptor of QEMU): a file has one user at a time,
// also if a record says otherwise.
//
// The package never mounts anything, and knows neither names nor who may use what. It
// reads file systems that only this host's kernel has written; what a guest's kernel may
// have written to is bytes to it.
package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"cis/api"
)

// Store is a directory of disks and snapshots, each a file by its ID.
type Store struct{ dir string }

// Open makes the directory, unless it is there.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open disks: %w", err)
	}
	return &Store{dir}, nil
}

// Path is where the file of an ID is.
func (s *Store) Path(id string) string { return filepath.Join(s.dir, id) }

// reserve is what is left of the host's disk for cisd itself.
const reserve = 1 * api.GiB

// Free is how much room there is for disks.
func (s *Store) Free() (api.Bytes, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(s.dir, &stat); err != nil {
		return 0, fmt.Errorf("look for room in %s: %w", s.dir, err)
	}
	return max(0, api.Bytes(int64(stat.Bavail)*stat.Bsize)-reserve), nil
}

// lockWait is how long a file in use is tried again: a process that is just being started
// holds what this one had open for a moment.
const lockWait = time.Second

// Lock opens the file of a disk for its one user, until it is closed, and all that was made
// of it. It fails with Conflict while another uses it.
func Lock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(lockWait); ; time.Sleep(20 * time.Millisecond) {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return file, nil
		}
		if time.Now().After(end) {
			file.Close()
			return nil, &api.Error{Code: api.Conflict, Message: "the disk is in use", Err: err}
		}
	}
}

// Create makes a disk with an empty file system, or nothing.
func (s *Store) Create(ctx context.Context, id string, size api.Bytes) error {
	err := s.fill(id, func(file *os.File) error {
		if err := s.extend(file, 0, size); err != nil {
			return err
		}
		args := []string{"-q", "-F", "-t", "ext4", "-m", "0", "-E", "lazy_itable_init=1,nodiscard,root_owner=0:0"}
		if size <= smallest {
			args = append(args, "-J", "size=2")
		}
		return run(ctx, file, "mke2fs", append(args, file.Name(), within(size))...)
	})
	if err != nil {
		return fmt.Errorf("make disk %s: %w", id, err)
	}
	return nil
}

// tail is left of a disk behind the file system that the host makes: whoever looks at the
// end of block devices for signatures, as of a RAID, finds nothing that a program wrote.
const tail = 1 * api.MiB

// within is the size of the file system in a disk, as e2fsprogs want it.
func within(size api.Bytes) string { return fmt.Sprintf("%dK", (size-tail)/api.KiB) }

// smallest is the size up to which mke2fs makes a journal of 1 MiB, too little for a guest's
// kernel to make the file system bigger in.
const smallest = 32 * api.MiB

// fill makes a new file, and removes it again where write fails. It is on the host's disk
// when fill returns.
func (s *Store) fill(id string, write func(*os.File) error) error {
	file, err := os.OpenFile(s.Path(id), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	if err = write(file); err == nil {
		err = errors.Join(file.Sync(), s.sync())
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

// sync writes the directory out.
func (s *Store) sync() error {
	dir, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// extend gives a file room up to a size.
func (s *Store) extend(file *os.File, from, to api.Bytes) error {
	free, err := s.Free()
	if err != nil {
		return err
	}
	if to-from > free {
		return full(to-from, free)
	}
	err = unix.Fallocate(int(file.Fd()), 0, 0, int64(to))
	switch {
	case errors.Is(err, unix.ENOSPC):
		err = full(to-from, free)
	case errors.Is(err, unix.EOPNOTSUPP):
		err = &api.Error{Code: api.Unavailable, Err: err,
			Message: fmt.Sprintf("the file system of %s cannot set room aside for disks: keep the data directory on ext4, xfs or btrfs", s.dir)}
	}
	if err != nil {
		return errors.Join(err, file.Truncate(int64(from)))
	}
	return nil
}

func full(wanted, free api.Bytes) error {
	return api.Errorf(api.Exhausted, "the host's disk has no room: %s are needed, and %d MiB are free for disks", wanted, free/api.MiB).
		WithNext("choose a smaller size, or remove disks or snapshots: `cis disk list`, `cis disk snapshot list`")
}

// run runs a program of e2fsprogs, which holds the file's lock as long as it lives. Its
// exit codes up to ok are no errors.
func run(ctx context.Context, file *os.File, name string, args ...string) error {
	_, err := runTo(ctx, 0, file, name, args...)
	return err
}

func runTo(ctx context.Context, ok int, file *os.File, name string, args ...string) (code int, err error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.ExtraFiles = []*os.File{file}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return 0, api.Errorf(api.Unavailable, "the host has no %s, which disks need", name).WithNext("install e2fsprogs")
	}
	if exit, isExit := errors.AsType[*exec.ExitError](err); isExit && exit.ExitCode() > 0 && exit.ExitCode() <= ok {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w: %s", name, err, out[max(0, len(out)-512):])
	}
	return 0, nil
}

// Grow makes a disk bigger. With hosts, only this host's kernel has written to it, and its
// file system grows with it; else that is for the guest to do that uses it next.
func (s *Store) Grow(ctx context.Context, id string, size api.Bytes, hosts bool) error {
	if err := s.grow(ctx, id, size, hosts); err != nil {
		return fmt.Errorf("make disk %s bigger: %w", id, err)
	}
	return nil
}

func (s *Store) grow(ctx context.Context, id string, size api.Bytes, hosts bool) error {
	file, err := Lock(s.Path(id))
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := s.extend(file, min(size, api.Bytes(info.Size())), size); err != nil {
		return err
	}
	if hosts {
		// What has begun goes on to its end, whoever waits for it.
		ctx = context.WithoutCancel(ctx)
		if _, err := runTo(ctx, 1, file, "e2fsck", "-f", "-p", file.Name()); err != nil { // 1: it has put something right
			return err
		}
		if err := run(ctx, file, "resize2fs", file.Name(), within(size)); err != nil {
			return err
		}
		// It cuts a file off behind the file system.
		if err := unix.Fallocate(int(file.Fd()), 0, 0, int64(size)); err != nil {
			return err
		}
	}
	return file.Sync()
}

// Settle makes the file of a disk that nobody uses what its record says: a growth that
// was cut off is gone on with where the host's kernel alone has written to the disk, and
// what a VMM may have added to another is dropped. It returns the size.
func (s *Store) Settle(ctx context.Context, id string, size api.Bytes, hosts bool) (api.Bytes, error) {
	info, err := os.Stat(s.Path(id))
	if err != nil {
		return size, fmt.Errorf("settle disk %s: %w", id, err)
	}
	have := api.Bytes(info.Size())
	if have == size {
		return size, nil
	}
	if hosts && have > size {
		length, err := filesystem(s.Path(id))
		if err != nil {
			return size, fmt.Errorf("settle disk %s: %w", id, err)
		}
		if length == have { // resize2fs was done, and what it cut off was not put back
			have += tail
		}
		return have, s.Grow(ctx, id, have, true)
	}
	if err := os.Truncate(s.Path(id), int64(size)); err != nil {
		return size, fmt.Errorf("settle disk %s: %w", id, err)
	}
	return size, nil
}

// filesystem is the size of the ext4 file system in a file, as its superblock tells it
// (https://docs.kernel.org/filesystems/ext4/globals.html#super-block).
func filesystem(path string) (api.Bytes, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	var super [28]byte
	if _, err := file.ReadAt(super[:], 1024); err != nil {
		return 0, err
	}
	blocks, shift := binary.LittleEndian.Uint32(super[4:]), 10+binary.LittleEndian.Uint32(super[24:])
	return api.Bytes(blocks) << shift, nil
}

// Remove removes the file of an ID; one that is not there is no error. It fails with
// Conflict while it is in use.
func (s *Store) Remove(id string) error {
	file, err := Lock(s.Path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		defer file.Close()
		err = errors.Join(os.Remove(s.Path(id)), s.sync())
	}
	if err != nil {
		return fmt.Errorf("remove disk %s: %w", id, err)
	}
	return nil
}

// Sweep removes the files that are not to be kept, and tells which.
func (s *Store) Sweep(kept func(id string) bool) (removed []string, err error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("sweep disks: %w", err)
	}
	for _, entry := range entries {
		if kept(entry.Name()) {
			continue
		}
		if failed := os.Remove(s.Path(entry.Name())); failed != nil {
			err = errors.Join(err, fmt.Errorf("sweep disks: %w", failed))
			continue
		}
		removed = append(removed, entry.Name())
	}
	return removed, err
}
