package qemu

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"cis/internal/agent/guest"
	"cis/internal/sealed"
)

// template is a VM that was saved when it was nobody yet.
type template struct {
	accel  accelerator
	memory *os.File // sealed
	state  []byte   // of its processors and devices
}

// Files of a template in its directory.
const (
	memoryFile = "memory"
	stateFile  = "state"
)

// loadTemplate reads a template. Its memory is where the copies can map it and none
// can change it.
func loadTemplate(dir string, a accelerator) (t *template, err error) {
	t = &template{accel: a}
	if t.state, err = os.ReadFile(filepath.Join(dir, stateFile)); err != nil {
		return nil, err
	}
	saved, err := os.Open(filepath.Join(dir, memoryFile))
	if err != nil {
		return nil, err
	}
	defer saved.Close()
	if t.memory, err = newMemory(0); err != nil {
		return nil, err
	}
	if err = copySparse(t.memory, saved); err == nil {
		// A copy of the template must not reach into the next one.
		err = sealed.Seal(t.memory)
	}
	if err != nil {
		t.memory.Close()
		return nil, fmt.Errorf("load template: %w", err)
	}
	return t, nil
}

// open gives the state to one reader.
func (t *template) open() (*os.File, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	go func() {
		defer write.Close()
		_, _ = write.Write(t.state) // a reader that has gone needs no more
	}()
	return read, nil
}

// saveTemplate boots a VM and saves it in a directory that is there.
func (m *Machine) saveTemplate(ctx context.Context, s shape, a accelerator, dir string) error {
	memory, err := os.OpenFile(filepath.Join(dir, memoryFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer memory.Close()
	// It boots in memory, not on the disk, and what it touched is copied.
	live, err := newMemory(s.memory)
	if err != nil {
		return err
	}
	defer live.Close()
	err = m.withBuilder(ctx, launch{shape: s, accel: a, memory: live}, func(v *vm) error {
		bounded, cancel := v.bound(ctx)
		defer cancel()
		return v.save(bounded, filepath.Join(dir, stateFile))
	})
	if err != nil {
		return err
	}
	return copySparse(memory, live)
}

// save waits until the guest is ready and writes the state of its devices to a file.
func (v *vm) save(ctx context.Context, path string) error {
	layer := []diskFile{v.ahead(minDisk)}
	if err := v.makeDisks(ctx, layer); err != nil {
		return err
	}
	if err := v.rehearse(ctx, layer, func(guest.Disk) bool { return true }); err != nil {
		return err
	}
	state, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer state.Close()
	return v.migrate(ctx, state, "migrate")
}

// resume lets a copy go on where its template was saved.
func (v *vm) resume(ctx context.Context, t *template) error {
	ctx, cancel := v.bound(ctx)
	defer cancel()
	state, err := t.open()
	if err != nil {
		return err
	}
	defer state.Close()
	return v.migrate(ctx, state, "migrate-incoming")
}

// migrate writes the state of a VM to a file or reads it from there, without the
// memory, which is a file already.
func (v *vm) migrate(ctx context.Context, state *os.File, command string) error {
	q, err := dialQMP(ctx, v.m.socket(v.id, controlSocket))
	if err != nil {
		return err
	}
	defer q.close()
	_, err = q.run(ctx, "migrate-set-capabilities", map[string]any{
		"capabilities": []any{map[string]any{"capability": "x-ignore-shared", "state": true}},
	})
	if err != nil {
		return err
	}
	if _, err := q.runWith(ctx, "getfd", map[string]any{"fdname": stateFile}, unix.UnixRights(int(state.Fd()))); err != nil {
		return err
	}
	if _, err := q.run(ctx, command, map[string]any{"uri": "fd:" + stateFile}); err != nil {
		return err
	}
	return q.migrated(ctx)
}
