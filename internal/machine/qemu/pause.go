package qemu

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"cis/internal/machine"
	"cis/internal/machine/standstill"
)

// pausedFile is there while a VM stands still because it was asked to.
func (m *Machine) pausedFile(id string) string { return filepath.Join(m.dir(id), "paused") }

// Pause implements machine.Machine. It stops QEMU as a whole, not by QEMU's own
// command: a guest that was copied from a template, stopped and continued so misses
// the next tick of its clock now and then, and stands still for good (QEMU 7.2, TCG).
func (m *Machine) Pause(ctx context.Context, id string) error {
	if err := m.isThere(id); err != nil {
		return err
	}
	err := os.WriteFile(m.pausedFile(id), nil, 0o600)
	if err == nil {
		err = m.stop(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("pause sandbox %s: %w", id, errors.Join(err, m.resume(id)))
	}
	return nil
}

func (m *Machine) stop(ctx context.Context, id string) error {
	pids, err := m.cgroups.Processes(m.group(id))
	if err != nil {
		return err
	}
	for _, pid := range pids {
		p, err := standstill.Open(pid)
		if err != nil {
			return err
		}
		defer p.Close()
		if err := p.Stop(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Resume implements machine.Machine.
func (m *Machine) Resume(_ context.Context, id string) error {
	if err := m.isThere(id); err != nil {
		return err
	}
	if err := m.resume(id); err != nil {
		return fmt.Errorf("resume sandbox %s: %w", id, err)
	}
	return nil
}

func (m *Machine) resume(id string) error {
	if err := m.cgroups.Signal(m.group(id), unix.SIGCONT); err != nil {
		return err
	}
	if err := os.Remove(m.pausedFile(id)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (m *Machine) isPaused(id string) bool {
	_, err := os.Stat(m.pausedFile(id))
	return err == nil
}

// isThere fails with NotFound for a sandbox that is gone.
func (m *Machine) isThere(id string) error {
	if err := machine.CheckID(id); err != nil {
		return err
	}
	if _, err := os.Stat(m.dir(id)); err != nil {
		return absent(id, err)
	}
	return nil
}
