package gvisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"cis/api"
	"cis/internal/cgroup"
)

// Most implements machine.Machine. What programs see of the size stays that of the boot.
func (m *Machine) Most(api.CPU, api.Bytes) (api.CPU, api.Bytes) { return 0, 0 }

// Resize implements machine.Machine. On version 2 of cgroups the kernel would end the sandbox
// where more memory is in use.
func (m *Machine) Resize(ctx context.Context, id string, cpu api.CPU, memory api.Bytes) error {
	used, err := m.Stats(ctx, id)
	if err != nil {
		return err
	}
	if used.Memory > memory {
		return api.Errorf(api.Exhausted, "sandbox %s uses more than %s of memory", id, memory)
	}
	err = m.cgroups.Set(m.box(id), cgroup.Limits{CPU: cpu, Memory: memory})
	if errors.Is(err, fs.ErrNotExist) {
		return absent(id, err)
	}
	if err != nil {
		return fmt.Errorf("resize sandbox %s: %w", id, err)
	}
	return nil
}
