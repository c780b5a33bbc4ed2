package qemu

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	// slot, if it has to be that one.
	slot int
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
		if f.path == "" {
			f.path = filepath.Join(v.m.dir(v.id), fmt.Sprintf("%s-%s.disk", f.use, f.name))
		}
		group.Go(func() error {
			if err := v.m.makeDisk(ctx, f.path, f.size); err != nil {
				return fmt.Errorf("make the disk for %s %s: %w", f.use, f.name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// fileSize of a disk on which about size bytes can be used.
func fileSize(size api.Bytes) int64 { return int64(max(size, minDisk)) }

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
	if err := file.Truncate(fileSize(size)); err != nil {
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

// add puts files behind free disks and tells the guest. layer is the container that gets
// the layer made ahead, if any.
func (v *vm) add(ctx context.Context, files []diskFile, layer string) error {
	disks, err := v.plugAll(ctx, files)
	if err != nil {
		return err
	}
	return v.request(ctx, guest.Request{Time: time.Now(), Disks: disks, Layer: layer})
}

func (v *vm) plugAll(ctx context.Context, files []diskFile) (disks []guest.Disk, err error) {
	q, err := v.control(ctx)
	if err != nil {
		return nil, err
	}
	defer q.close()
	free, err := q.freeSlots(ctx)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		slot, err := free.take(f.use == guest.ImageDisk, f.slot)
		if err != nil {
			return nil, err // with nothing plugged
		}
		disks = append(disks, guest.Disk{Slot: slot, Use: f.use, Name: f.name})
	}
	for i, f := range files {
		if err := q.plug(ctx, disks[i].Slot, f); err != nil {
			return nil, err
		}
	}
	return disks, nil
}

// unplugAll takes the files away from behind disks that the guest uses no more.
func (v *vm) unplugAll(ctx context.Context, disks []guest.Disk) error {
	q, err := v.control(ctx)
	if err != nil {
		return err
	}
	defer q.close()
	for _, d := range disks {
		if err := q.unplug(ctx, d.Slot); err != nil {
			return err
		}
	}
	return nil
}

func (v *vm) control(ctx context.Context) (*qmp, error) {
	q, err := dialQMP(ctx, v.m.socket(v.id, controlSocket))
	if err != nil {
		return nil, fmt.Errorf("control QEMU: %w", err)
	}
	return q, nil
}

// slots are the numbers of disks that are free.
type slots struct{ readOnly, writable []int }

// take uses a slot up: that one, or with 0 the first that is free.
func (s *slots) take(readOnly bool, slot int) (int, error) {
	from, most, what := &s.writable, guest.WritableSlots-1, "containers, volumes on disk and disks"
	if readOnly {
		from, most, what = &s.readOnly, guest.ReadOnlySlots, "images, files and secrets"
	}
	if len(*from) == 0 {
		return 0, api.Errorf(api.Invalid, "the instance has more than %d %s, which is what a VM has disks for", most, what).
			WithNext("use fewer, or `--isolation gvisor`")
	}
	if slot == 0 {
		slot = (*from)[0]
	}
	*from = slices.DeleteFunc(*from, func(other int) bool { return other == slot })
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
	return q.turn(ctx, slot, fileNode(slot), f.offset)
}

// turn makes what is behind a disk another node.
func (q *qmp) turn(ctx context.Context, slot int, node string, offset int64) error {
	_, err := q.run(ctx, "blockdev-reopen", map[string]any{"options": []any{map[string]any{
		"driver": "raw", "node-name": disk(slot), "file": node, "read-only": slot < guest.FirstWritable, "offset": offset,
	}}})
	return err
}

// unplug leaves nothing behind a disk. It is done once at most for each slot.
func (q *qmp) unplug(ctx context.Context, slot int) error {
	nothing := "nothing" + disk(slot)
	_, err := q.run(ctx, "blockdev-add", map[string]any{
		"driver": "null-co", "node-name": nothing, "size": 0, "read-zeroes": true, "read-only": slot < guest.FirstWritable,
	})
	if err != nil {
		return err
	}
	if err := q.turn(ctx, slot, nothing, 0); err != nil {
		return err
	}
	if _, err := q.run(ctx, "blockdev-del", map[string]any{"node-name": fileNode(slot)}); err != nil {
		return err
	}
	_, err = q.run(ctx, "remove-fd", map[string]any{"fdset-id": slot})
	return err
}
