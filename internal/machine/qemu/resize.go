package qemu

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"cis/api"
	"cis/internal/cgroup"
)

// Most implements machine.Machine: the processors and the memory of a VM are those that it
// was made with.
func (m *Machine) Most(cpu api.CPU, memory api.Bytes) (api.CPU, api.Bytes) {
	return api.CPU(1000 * processors(cpu)), memory
}

// Resize implements machine.Machine. What the guest is to have no more it puts into its
// balloon, page by page; then QEMU is held to less.
func (m *Machine) Resize(ctx context.Context, id string, cpu api.CPU, memory api.Bytes) error {
	if err := m.isThere(id); err != nil {
		return err
	}
	if err := m.resize(ctx, id, size{CPU: cpu, Memory: memory}); err != nil {
		return fmt.Errorf("resize sandbox %s: %w", id, err)
	}
	return nil
}

func (m *Machine) resize(ctx context.Context, id string, s size) error {
	if err := m.resizeMemory(ctx, id, shapeOf(s.CPU, s.Memory)); err != nil {
		return err
	}
	if err := m.saveSize(id, s); err != nil {
		return err
	}
	return m.confine(id)
}

func (m *Machine) resizeMemory(ctx context.Context, id string, to shape) error {
	if err := (&vm{m: m, id: id}).balloon(ctx, to.memory); err != nil {
		return err
	}
	limits := cgroup.Limits{Memory: to.mostMemory()}
	usage, err := m.cgroups.Usage(m.group(id))
	if err != nil {
		return err
	}
	if usage.Memory > limits.Memory {
		return api.Errorf(api.Exhausted, "the VM has not given its memory back yet")
	}
	return m.cgroups.Set(m.group(id), limits)
}

// inflating is how long a guest may take to change its balloon, before somebody asks again.
const inflating = 5 * time.Second

// balloon leaves so much memory to the guest, and waits until it is so.
func (v *vm) balloon(ctx context.Context, memory api.Bytes) error {
	if err := v.setBalloon(ctx, memory); err != nil {
		return err
	}
	for end := time.Now().Add(inflating); ; {
		actual, err := v.actualMemory(ctx)
		if err != nil || actual == memory {
			return err
		}
		if time.Now().After(end) {
			return api.Errorf(api.Exhausted, "the VM's guest has not come to %s yet", memory)
		}
		select {
		case <-time.After(inflating / 50):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// setBalloon tells QEMU what the guest is to have. Each message has a connection of its own,
// as QEMU serves one at a time and is watched.
func (v *vm) setBalloon(ctx context.Context, memory api.Bytes) error {
	q, err := v.control(ctx)
	if err != nil {
		return err
	}
	defer q.close()
	_, err = q.run(ctx, "balloon", map[string]any{"value": int64(memory)})
	return err
}

// actualMemory is what the guest has beside its balloon.
func (v *vm) actualMemory(ctx context.Context) (api.Bytes, error) {
	q, err := v.control(ctx)
	if err != nil {
		return 0, err
	}
	defer q.close()
	answer, err := q.run(ctx, "query-balloon", nil)
	if err != nil {
		return 0, err
	}
	var balloon struct{ Actual int64 }
	if err := json.Unmarshal(answer, &balloon); err != nil {
		return 0, fmt.Errorf("QEMU: query-balloon: %w", err)
	}
	return api.Bytes(balloon.Actual), nil
}
