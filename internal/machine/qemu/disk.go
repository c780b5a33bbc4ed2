package qemu

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"cis/api"
	"cis/internal/agent"
	"cis/internal/agent/guest"
	kept "cis/internal/disk"
)

const (
	// minDisk is the smallest disk that is worth a file system.
	minDisk = 1 * api.MiB
	// scratchSize is what the agent needs at most for the output of as many containers
	// as there can be: it keeps two attempts of each.
	scratchSize = 64*api.MiB + guest.WritableSlots*2*agent.DefaultLogLimit
)

// diskFile is what shall be behind a disk of a VM.
type diskFile struct {
	use  guest.DiskUse
	name string
	// size of one to be made.
	size api.Bytes
	// path of the file, and the offset of the file system in it.
	path   string
	offset int64
}

// makeDisks makes the files of disks that are written to.
func (v *vm) makeDisks(ctx context.Context, files []diskFile) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for i := range files {
		f := &files[i]
		f.path = filepath.Join(v.m.dir(v.id), fmt.Sprintf("%s-%s.disk", f.use, f.name))
		group.Go(func() error {
			if err := v.m.makeDisk(ctx, f.path, f.size); err != nil {
				return fmt.Errorf("make the disk for %s %s: %w", f.use, f.name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// makeDisk makes a sparse file with a file system in which the guest may use about as
// many bytes as were asked for.
func (m *Machine) makeDisk(ctx context.Context, path string, size api.Bytes) error {
	// One may be left of a try that was cut off, and in the guest's hands: it gets another.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := file.Truncate(int64(max(size, minDisk))); err != nil {
		return err
	}
	// Nothing of it is worth a journal: it ends with the VM.
	out, err := exec.CommandContext(ctx, m.conf.Mke2fs, "-q", "-F", "-t", "ext4", "-m", "0", "-O", "^has_journal,^resize_inode",
		"-E", "lazy_itable_init=1,nodiscard,root_owner=0:0", path).CombinedOutput()
	if err != nil {
		return fmt.Errorf("mke2fs: %w: %s", err, tail(string(out)))
	}
	return nil
}

// add puts files behind free disks and tells the guest.
func (v *vm) add(ctx context.Context, files []diskFile) error {
	q, err := dialQMP(ctx, v.m.socket(v.id, controlSocket))
	if err != nil {
		return fmt.Errorf("control QEMU: %w", err)
	}
	defer q.close()
	free, err := q.freeSlots(ctx)
	if err != nil {
		return err
	}
	r := guest.Request{Time: time.Now()}
	for _, f := range files {
		slot, err := free.take(f.use == guest.ImageDisk)
		if err != nil {
			return err // with nothing plugged
		}
		r.Disks = append(r.Disks, guest.Disk{Slot: slot, Use: f.use, Name: f.name})
	}
	for i, f := range files {
		if err := q.plug(ctx, r.Disks[i].Slot, f); err != nil {
			return err
		}
	}
	return v.request(ctx, r)
}

// slots are the numbers of disks that are free.
type slots struct{ readOnly, writable []int }

// take uses a slot up.
func (s *slots) take(readOnly bool) (int, error) {
	from, most, what := &s.writable, guest.WritableSlots-1, "containers, volumes on disk and disks"
	if readOnly {
		from, most, what = &s.readOnly, guest.ReadOnlySlots, "images, files and secrets"
	}
	if len(*from) == 0 {
		return 0, api.Errorf(api.Invalid, "the instance has more than %d %s, which is what a VM has disks for", most, what).
			WithNext("use fewer, or `--isolation gvisor`")
	}
	slot := (*from)[0]
	*from = (*from)[1:]
	return slot, nil
}

// freeSlots lists the disks with nothing behind them.
func (q *qmp) freeSlots(ctx context.Context) (slots, error) {
	used, err := q.nodes(ctx)
	if err != nil {
		return slots{}, err
	}
	var s slots
	for slot := guest.FirstReadOnly; slot < guest.Slots; slot++ {
		switch {
		case used[fileNode(slot)]:
		case slot < guest.FirstWritable:
			s.readOnly = append(s.readOnly, slot)
		default:
			s.writable = append(s.writable, slot)
		}
	}
	return s, nil
}

// fileNode is the name in QEMU of the file behind a disk.
func fileNode(slot int) string { return "file" + disk(slot) }

// open opens the file; QEMU keeps the lock of one that others may want.
func (f diskFile) open() (*os.File, error) {
	switch f.use {
	case guest.ImageDisk:
		return os.Open(f.path)
	case guest.KeptDisk:
		return kept.Lock(f.path)
	}
	return os.OpenFile(f.path, os.O_RDWR, 0)
}

// plug puts a file behind a disk.
func (q *qmp) plug(ctx context.Context, slot int, f diskFile) error {
	readOnly := f.use == guest.ImageDisk
	file, err := f.open()
	if err != nil {
		return err
	}
	defer file.Close()
	if err := q.sendFile(ctx, slot, file); err != nil {
		return err
	}
	_, err = q.run(ctx, "blockdev-add", map[string]any{
		"driver": "file", "node-name": fileNode(slot), "filename": fmt.Sprintf("/dev/fdset/%d", slot), "read-only": readOnly,
		"locking": "off",
	})
	if err != nil {
		return err
	}
	_, err = q.run(ctx, "blockdev-reopen", map[string]any{"options": []any{map[string]any{
		"driver": "raw", "node-name": disk(slot), "file": fileNode(slot), "read-only": readOnly, "offset": f.offset,
	}}})
	return err
}
