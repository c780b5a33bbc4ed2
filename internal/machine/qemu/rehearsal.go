package qemu

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"cis/api"
	"cis/internal/agent/guest"
	"cis/internal/erofs"
)

// aheadSlot is where a VM that nobody waits for has a writable layer.
const aheadSlot = guest.Slots - 1

func (v *vm) aheadPath() string { return filepath.Join(v.m.dir(v.id), "ahead.disk") }

// ahead is the disk of a writable layer for a container that is not known yet.
func (v *vm) ahead(size api.Bytes) diskFile {
	return diskFile{use: guest.LayerDisk, name: guest.Rehearsal, slot: aheadSlot, path: v.aheadPath(), size: size}
}

// rehearse puts disks behind free slots, lets the guest run through the life of a
// container, and takes some of the disks away again. One of them is the layer.
func (v *vm) rehearse(ctx context.Context, files []diskFile, done func(guest.Disk) bool) error {
	image := diskFile{use: guest.ImageDisk, name: guest.Rehearsal, path: v.m.rehearsalPath()}
	disks, err := v.plugAll(ctx, append(files, image))
	if err != nil {
		return err
	}
	free := slices.DeleteFunc(slices.Clone(disks), func(d guest.Disk) bool { return !done(d) })
	if err := v.request(ctx, guest.Request{Time: time.Now(), Disks: disks, Warm: true, Free: free}); err != nil {
		return err
	}
	return v.unplugAll(ctx, free)
}

// takeAhead finds the container that gets the layer which was made ahead, and which
// layers are still to be made. A layer that has the size of none goes.
func (v *vm) takeAhead(ctx context.Context, layers []diskFile) (container string, others []diskFile, err error) {
	info, err := os.Stat(v.aheadPath())
	if errors.Is(err, fs.ErrNotExist) {
		return "", layers, nil
	}
	if err != nil {
		return "", nil, err
	}
	i := slices.IndexFunc(layers, func(l diskFile) bool { return fileSize(l.size) == info.Size() })
	if i >= 0 {
		return layers[i].name, slices.Delete(slices.Clone(layers), i, i+1), nil
	}
	free := []guest.Disk{{Slot: aheadSlot, Use: guest.LayerDisk, Name: guest.Rehearsal}}
	if err := v.request(ctx, guest.Request{Time: time.Now(), Free: free}); err != nil {
		return "", nil, err
	}
	return "", layers, errors.Join(v.unplugAll(ctx, free), os.Remove(v.aheadPath()))
}

func (m *Machine) rehearsalPath() string { return filepath.Join(m.conf.Dir, "rehearsal.erofs") }

// writeRehearsal writes the image with which VMs rehearse: it has directories that most
// images have, files that every container gets anew, and a program.
func writeRehearsal(to *os.File) error {
	w := erofs.NewWriter(to)
	program, code := &erofs.Inode{Mode: erofs.TypeRegular | 0o755}, hello()
	if err := w.WriteData(program, bytes.NewReader(code), int64(len(code))); err != nil {
		return err
	}
	root := erofs.NewDir(0o755)
	for _, name := range []string{"dev", "etc", "proc", "sys", "tmp"} {
		root.Entries[name] = erofs.NewDir(0o755)
	}
	for _, name := range []string{"hostname", "hosts", "resolv.conf"} {
		root.Entries["etc"].Entries[name] = &erofs.Inode{Mode: erofs.TypeRegular | 0o644}
	}
	root.Entries[guest.Rehearsal] = program
	_, err := w.Finish(root)
	return err
}
