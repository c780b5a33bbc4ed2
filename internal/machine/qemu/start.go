package qemu

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"cis/internal/agent/guest"
	"cis/internal/machine"
)

// Start implements machine.Machine.
func (m *Machine) Start(ctx context.Context, s machine.Sandbox) error {
	if err := machine.CheckID(s.ID); err != nil {
		return err
	}
	err := m.inDir(ctx, s.ID, func() error { return m.start(ctx, s) })
	if err != nil {
		return fmt.Errorf("start sandbox %s: %w", s.ID, err)
	}
	return nil
}

// inDir makes a VM's directory and what fill makes of it, or nothing.
func (m *Machine) inDir(ctx context.Context, id string, fill func() error) error {
	// What makes the ID unique is made first: a sandbox that is there already stays.
	if err := os.Mkdir(m.dir(id), 0o700); err != nil {
		return err
	}
	err := fill()
	if err == nil {
		return nil
	}
	// What was begun goes, even when ctx has ended meanwhile.
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(err, m.Destroy(after, id))
}

func (m *Machine) start(ctx context.Context, s machine.Sandbox) error {
	want := shapeOf(s.CPU, s.Memory)
	t, err := m.templates.have(ctx, want)
	if err != nil {
		return err
	}
	if t == nil {
		defer m.templates.order(want)
	}
	if err := m.saveSize(s.ID, size{CPU: s.CPU, Memory: s.Memory}); err != nil {
		return err
	}
	select {
	case m.starting <- struct{}{}:
		defer func() { <-m.starting }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	tap, err := m.conf.OpenTap(s.NIC.NetNS, s.NIC.Name)
	if err != nil {
		return err
	}
	v, err := m.launch(ctx, launch{id: s.ID, shape: want, template: t, tap: tap})
	if err != nil {
		return err
	}
	if err := v.settle(ctx, s); err != nil {
		return m.explain(ctx, v, err)
	}
	return nil
}

// seedSize is enough for the kernel's generator, in bytes.
const seedSize = 64

// settle makes a VM that is nobody yet this sandbox.
func (v *vm) settle(ctx context.Context, s machine.Sandbox) error {
	ctx, cancel := v.bound(ctx)
	defer cancel()
	seed := make([]byte, seedSize)
	rand.Read(seed)
	asked := v.ask(ctx, guest.Request{Time: time.Now(), Identity: &guest.Identity{
		Hostname: s.Hostname, Address: s.NIC.Address, MAC: s.NIC.MAC, Gateway: s.NIC.Gateway,
		Address6: s.NIC.Address6, Gateway6: s.NIC.Gateway6, MTU: s.NIC.MTU, Seed: seed,
	}})
	files := []diskFile{{use: guest.ScratchDisk, size: scratchSize}}
	if s.Ahead {
		files = append(files, v.ahead(s.Layer))
	}
	var kept []diskFile
	for _, volume := range s.Volumes {
		switch {
		case volume.Disk != "":
			kept = append(kept, diskFile{use: guest.KeptDisk, name: volume.Name, path: volume.Disk})
		case !volume.Memory && !volume.NFS:
			files = append(files, diskFile{use: guest.VolumeDisk, name: volume.Name, size: volume.SizeLimit})
		}
	}
	// The guest works on that while the disks are made.
	err := v.makeDisks(ctx, files)
	if err := errors.Join(<-asked, err); err != nil {
		return err
	}
	files = append(files, kept...)
	if s.Ahead {
		return v.rehearse(ctx, files, func(d guest.Disk) bool { return d.Use == guest.ImageDisk })
	}
	if slices.ContainsFunc(s.Volumes, func(volume machine.Volume) bool { return volume.NFS }) {
		if err := v.loadNFS(ctx); err != nil {
			return fmt.Errorf("load the NFS client: %w", err)
		}
	}
	return v.add(ctx, files, "")
}

// Equip implements machine.Machine.
func (m *Machine) Equip(ctx context.Context, id string, d machine.Disks) error {
	if err := m.isThere(id); err != nil {
		return err
	}
	if err := m.equip(ctx, id, d); err != nil {
		return fmt.Errorf("equip sandbox %s: %w", id, err)
	}
	return nil
}

func (m *Machine) equip(ctx context.Context, id string, d machine.Disks) error {
	has, err := m.equipment(id)
	if err != nil {
		return err
	}
	first := len(has) == 0
	var layers, images []diskFile
	for _, layer := range d.Layers {
		layers = has.missing(layers, diskFile{use: guest.LayerDisk, name: layer.Container, size: layer.Size})
	}
	for _, image := range d.Images {
		images = has.missing(images, diskFile{use: guest.ImageDisk, name: image.Path, path: image.Path, offset: image.Offset})
	}
	if len(layers)+len(images) == 0 {
		return nil
	}
	v := &vm{m: m, id: id}
	ahead := ""
	if first {
		if ahead, layers, err = v.takeAhead(ctx, layers); err != nil {
			return err
		}
	}
	if err := v.makeDisks(ctx, layers); err != nil {
		return err
	}
	if err := v.add(ctx, append(layers, images...), ahead); err != nil {
		return err
	}
	if err := m.saveEquipment(id, has); err != nil {
		return err
	}
	return m.confine(id)
}
