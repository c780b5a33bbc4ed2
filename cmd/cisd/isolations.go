package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"cis/api"
	"cis/internal/engine"
	"cis/internal/machine"
	"cis/internal/machine/gvisor"
	"cis/internal/machine/qemu"
	"cis/internal/machine/qemu/initramfs"
	"cis/internal/network"
)

// isolations are the kinds of sandboxes that this host can make.
type isolations struct {
	machines map[api.Isolation]machine.Machine
	// auto is what auto means here.
	auto api.Isolation

	vms    *qemu.Machine // nil: none
	log    *slog.Logger
	cancel context.CancelFunc
	work   sync.WaitGroup
}

// openIsolations finds out what works. VMs are for those who ask for them, and for
// all where KVM runs them.
func openIsolations(ctx context.Context, c *config, gv *gvisor.Machine, log *slog.Logger) (*isolations, error) {
	i := &isolations{machines: map[api.Isolation]machine.Machine{api.IsolationGVisor: gv}, auto: api.IsolationGVisor, log: log, cancel: func() {}}
	vms, err := newQEMU(c, log)
	if err != nil {
		log.Info("no microVMs on this host", "because", err)
	} else {
		i.vms, i.machines[api.IsolationVM] = vms, vms
	}
	switch c.isolation {
	case api.IsolationVM:
		if i.vms == nil {
			return nil, fmt.Errorf("-isolation vm: no microVMs on this host: %w", err)
		}
		i.auto = api.IsolationVM
	case api.IsolationAuto:
		if i.vms == nil {
			break
		}
		if emulated, err := vms.Emulated(ctx); err != nil {
			log.Error("microVMs do not work", "error", err)
		} else if !emulated {
			i.auto = api.IsolationVM
		}
	}
	return i, nil
}

// prepare makes the templates of the sizes on offer, one after another and behind the
// scenes, where instances are VMs unless they ask for something else.
func (i *isolations) prepare(ctx context.Context, limits engine.Limits, standby engine.StandbyConfig) {
	if i.auto != api.IsolationVM {
		return
	}
	sizes := append([]api.Size{limits.DefaultSize}, limits.Sizes...)
	for _, s := range standby.Shapes {
		sizes = append(sizes, api.Size{CPU: s.CPU, Memory: s.Memory})
	}
	ctx, i.cancel = context.WithCancel(ctx)
	i.work.Go(func() {
		for _, s := range sizes {
			if err := i.vms.Prepare(ctx, s.CPU, s.Memory); err != nil && ctx.Err() == nil {
				i.log.Error("a template of VMs cannot be made", "cpu", s.CPU, "memory", s.Memory, "error", err)
			}
		}
	})
}

func (i *isolations) close() {
	i.cancel()
	i.work.Wait()
	if i.vms != nil {
		i.vms.Close()
	}
}

// newQEMU looks for what microVMs need; some of it comes from Debian's packages.
func newQEMU(c *config, log *slog.Logger) (*qemu.Machine, error) {
	programs := map[string]string{}
	for _, name := range []string{"qemu-system-x86_64", "mke2fs"} {
		path, err := exec.LookPath(name)
		if err != nil {
			return nil, err
		}
		programs[name] = path
	}
	kernel := filepath.Join(c.libexec, "guest", "vmlinuz")
	if _, err := os.Stat(kernel); err != nil {
		return nil, err
	}
	return qemu.New(qemu.Config{Dir: c.dataDir, Prefix: vmPrefix(c), QEMU: programs["qemu-system-x86_64"], Mke2fs: programs["mke2fs"], Kernel: kernel,
		Initramfs: initramfs.Content{Agent: filepath.Join(c.libexec, "cis-agent"), Tool: filepath.Join(c.libexec, "cis-pause"),
			ModulesFrom: filepath.Join(c.libexec, "guest", "modules")},
		OpenTap: network.OpenTap, Log: log})
}

// vmPrefix is the cgroup of the microVMs, below that of everything.
func vmPrefix(c *config) string { return "/" + c.prefix + "/vm" }
