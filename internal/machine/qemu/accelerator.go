package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"cis/api"
	"cis/internal/agent/guest"
)

// verdict is what a probe of KVM found, for this boot of the host and this build.
type verdict struct {
	Kernel string      `json:"kernel"`
	BootID string      `json:"bootID"`
	Build  string      `json:"build"`
	Accel  accelerator `json:"accelerator"`
	// Why, in words.
	Why string `json:"why"`
}

// probeTime bounds the probe. With KVM a guest is ready in a fraction of it.
const probeTime = 3 * time.Second

// probeShape is that of the VM which is booted to see.
var probeShape = shapeOf(1000, 64*api.MiB)

// accelerator decides what runs the guests, with the reason in words: KVM where a
// guest of our own really boots on it. /dev/kvm may be there and not run a kernel
// (hosts that are VMs themselves do that), so this tries, once for each boot of the
// host, and remembers the answer.
func (m *Machine) accelerator(ctx context.Context) (accelerator, string, error) {
	b, err := m.build(ctx)
	if err != nil {
		return "", "", err
	}
	unlock, err := m.probing.Lock(ctx, "")
	if err != nil {
		return "", "", err
	}
	defer unlock()
	if m.verdict.Accel != "" {
		return m.verdict.Accel, m.verdict.Why, nil
	}
	now, err := thisBoot()
	if err != nil {
		return "", "", err
	}
	now.Build = b.key
	v := m.remembered()
	if v.Kernel != now.Kernel || v.BootID != now.BootID || v.Build != now.Build {
		if v, err = m.probe(ctx, now); err != nil {
			return "", "", err
		}
	}
	m.verdict = v
	return v.Accel, v.Why, nil
}

func thisBoot() (verdict, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return verdict{}, err
	}
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return verdict{Kernel: unix.ByteSliceToString(u.Release[:]), BootID: string(id)}, err
}

func (m *Machine) verdictFile() string { return filepath.Join(m.conf.Dir, "accelerator.json") }

// remembered is the verdict of before, or none.
func (m *Machine) remembered() (v verdict) {
	data, err := os.ReadFile(m.verdictFile())
	if err != nil || json.Unmarshal(data, &v) != nil {
		return verdict{}
	}
	return v
}

// probe boots a guest with KVM and writes down whether it came up.
func (m *Machine) probe(ctx context.Context, v verdict) (verdict, error) {
	v.Accel, v.Why = tcg, ""
	switch _, err := os.Stat(kvmDevice); {
	case errors.Is(err, fs.ErrNotExist):
		v.Why = "the host has no " + kvmDevice
	case err != nil:
		return v, err
	default:
		began := time.Now()
		if err := m.bootOnce(ctx); err == nil {
			v.Accel, v.Why = kvm, fmt.Sprintf("a guest booted in %d ms", time.Since(began).Milliseconds())
		} else if ctx.Err() != nil {
			return v, context.Cause(ctx)
		} else {
			v.Why = fmt.Sprintf("%s is there and runs no guest: %v", kvmDevice, err)
		}
	}
	m.conf.Log.Info("looked for KVM", "accelerator", v.Accel, "because", v.Why)
	data, err := json.Marshal(v)
	if err == nil {
		err = os.WriteFile(m.verdictFile(), append(data, '\n'), 0o600)
	}
	return v, err
}

// bootOnce boots a VM with KVM until its guest answers.
func (m *Machine) bootOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, probeTime, fmt.Errorf("not booted after %v", probeTime))
	defer cancel()
	return m.withBuilder(ctx, launch{shape: probeShape, accel: kvm}, func(v *vm) error {
		bounded, cancel := v.bound(ctx)
		defer cancel()
		return v.request(bounded, guest.Request{Time: time.Now()})
	})
}
