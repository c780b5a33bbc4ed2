package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"cis/api"
)

// Snapshot copies a disk that nobody uses, as it is.
func (s *Store) Snapshot(ctx context.Context, disk, id string) error {
	from, err := Lock(s.Path(disk))
	if err == nil {
		defer from.Close()
		err = s.fill(id, func(to *os.File) error { return s.copy(ctx, to, from) })
	}
	if err != nil {
		return fmt.Errorf("copy disk %s: %w", disk, err)
	}
	return nil
}

// Restore makes a disk out of a snapshot, of the snapshot's size.
func (s *Store) Restore(ctx context.Context, snapshot, id string) error {
	from, err := os.Open(s.Path(snapshot))
	if err == nil {
		defer from.Close()
		err = s.fill(id, func(to *os.File) error { return s.restore(ctx, to, from) })
	}
	if err != nil {
		return fmt.Errorf("copy snapshot %s: %w", snapshot, err)
	}
	return nil
}

func (s *Store) restore(ctx context.Context, to, from *os.File) error {
	info, err := from.Stat()
	if err != nil {
		return err
	}
	if err := s.copy(ctx, to, from); err != nil {
		return err
	}
	return s.extend(to, api.Bytes(allocated(to)), api.Bytes(info.Size()))
}

// allocated is how much room a file has on the host's disk.
func allocated(file *os.File) int64 {
	var stat unix.Stat_t
	if unix.Fstat(int(file.Fd()), &stat) != nil {
		return 0
	}
	return stat.Blocks * 512
}

// copy makes an empty file like another: with the same blocks where the file system can
// share them, else without what was never written.
func (s *Store) copy(ctx context.Context, to, from *os.File) error {
	if unix.IoctlFileClone(int(to.Fd()), int(from.Fd())) == nil {
		return nil
	}
	info, err := from.Stat()
	if err != nil {
		return err
	}
	for at := int64(0); at < info.Size(); {
		begin, err := from.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // nothing but a hole is left
		}
		if err != nil {
			return err
		}
		end, err := from.Seek(begin, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		if err := s.copyRange(ctx, to, from, begin, end); err != nil {
			return err
		}
		at = end
	}
	return to.Truncate(info.Size())
}

// step is how much is copied between looks at what is left of the host's disk.
const step = int64(64 * api.MiB)

func (s *Store) copyRange(ctx context.Context, to, from *os.File, begin, end int64) error {
	for at := begin; at < end; at += step {
		length := min(step, end-at)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		free, err := s.Free()
		if err != nil {
			return err
		}
		if api.Bytes(length) > free {
			return full(api.Bytes(end-at), free)
		}
		if _, err := from.Seek(at, io.SeekStart); err != nil {
			return err
		}
		if _, err := to.Seek(at, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.CopyN(to, from, length); err != nil {
			return err
		}
	}
	return nil
}
