package qemu

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"cis/api"
	"cis/internal/agent/guest"
	"cis/internal/cgroup"
	"cis/internal/keylock"
	"cis/internal/machine"
	"cis/internal/machine/qemu/initramfs"
)

// maxDir is the longest Config.Dir: the longest socket path below it is
// /vms/s-0123456789ab/control.sock, 32 bytes, of the 107 that Linux allows.
const maxDir = 60

// Config of the machine.
type Config struct {
	// Dir holds the sandboxes' state. It may be at most 60 bytes long, and lives on
	// the disk that writable layers shall use.
	Dir string
	// Prefix is the cgroup of all sandboxes of this machine, such as "/cis-vm".
	Prefix string
	// QEMU is the program qemu-system-x86_64, Mke2fs that of e2fsprogs.
	QEMU, Mke2fs string
	// Kernel is the guest's kernel (a bzImage).
	Kernel string
	// Initramfs says what its archive holds.
	Initramfs initramfs.Content
	// OpenTap opens the tap of a NIC: see network.OpenTap.
	OpenTap func(netns, name string) (*os.File, error)
	Log     *slog.Logger
}

// Machine makes microVMs.
type Machine struct {
	conf    Config
	cgroups *cgroup.Tree

	templates *templates
	// starting bounds how many VMs start at once: a start is work for a processor, and
	// more of them than there are processors all end late.
	starting chan struct{}
	consoles keylock.Lock // by sandbox
	probing  keylock.Lock // of one key

	mu    sync.Mutex
	built build

	verdict verdict // while probing is held

	// nfsImage is the path of an image with the kernel's NFS client, made when it is first wanted.
	nfsImage func() (string, error)
	// bootable is the kernel as VMs boot it, made when the first one does.
	bootable func() (bootable, error)
}

var _ machine.VMs = (*Machine)(nil)

// New prepares the machine: it makes Config.Dir, and removes VMs that a process which
// has ended was making templates of. Close it when it is not needed any
// more; sandboxes go on.
func New(conf Config) (*Machine, error) {
	if len(conf.Dir) > maxDir || !filepath.IsAbs(conf.Dir) {
		return nil, fmt.Errorf("qemu: directory %q: must be absolute and at most %d bytes long", conf.Dir, maxDir)
	}
	tree, err := cgroup.Open(cgroup.Root)
	if err != nil {
		return nil, fmt.Errorf("qemu: %w", err)
	}
	m := &Machine{conf: conf, cgroups: tree, starting: make(chan struct{}, runtime.NumCPU())}
	m.templates = newTemplates(m)
	m.nfsImage = sync.OnceValues(m.makeNFSImage)
	m.bootable = sync.OnceValues(m.makeBootable)
	if err := os.MkdirAll(m.vms(), 0o700); err != nil {
		return nil, fmt.Errorf("qemu: %w", err)
	}
	if err := m.templates.clear(); err != nil {
		return nil, fmt.Errorf("qemu: remove what was being made: %w", err)
	}
	return m, nil
}

// Close ends the making of templates.
func (m *Machine) Close() { m.templates.close() }

// Prepare makes the template for VMs of a size, unless it is there, and waits for it.
func (m *Machine) Prepare(ctx context.Context, cpu api.CPU, memory api.Bytes) error {
	if err := m.templates.build(ctx, shapeOf(cpu, memory)); err != nil {
		return fmt.Errorf("prepare VMs: %w", err)
	}
	return nil
}

func (m *Machine) vms() string                   { return filepath.Join(m.conf.Dir, "vms") }
func (m *Machine) dir(id string) string          { return filepath.Join(m.vms(), id) }
func (m *Machine) group(id string) string        { return m.conf.Prefix + "/" + id }
func (m *Machine) logFile(id string) string      { return filepath.Join(m.dir(id), "qemu.log") }
func (m *Machine) socket(id, name string) string { return filepath.Join(m.dir(id), name) }

// Isolation implements machine.Machine.
func (m *Machine) Isolation() api.Isolation { return api.IsolationVM }

// Overhead implements machine.Machine: what the guest has for itself, and QEMU.
func (m *Machine) Overhead(memory api.Bytes) api.Bytes { return ownMemory(memory) + overhead }

// Check implements machine.Machine. It boots a VM, unless that was done before.
func (m *Machine) Check(ctx context.Context) (string, error) {
	a, why, err := m.accelerator(ctx)
	if err != nil {
		return "microVMs do not work", fmt.Errorf("qemu: %w", err)
	}
	b, err := m.build(ctx)
	if err != nil {
		return "microVMs do not work", fmt.Errorf("qemu: %w", err)
	}
	if a == kvm {
		return fmt.Sprintf("%s with KVM: %s", b.version, why), nil
	}
	return fmt.Sprintf("%s, emulated (TCG): %s", b.version, why), nil
}

// Emulated implements machine.VMs: without KVM a guest's code runs about twelve times
// slower.
func (m *Machine) Emulated(ctx context.Context) (bool, error) {
	a, _, err := m.accelerator(ctx)
	return a == tcg, err
}

// Connect implements machine.Machine. There is one connection at a time: a second
// one waits for the end of the first. As long as it is open the VM is watched.
func (m *Machine) Connect(ctx context.Context, id string) (net.Conn, error) {
	if err := machine.CheckID(id); err != nil {
		return nil, err
	}
	if err := m.confine(id); err != nil {
		return nil, fmt.Errorf("limit the cpu of sandbox %s: %w", id, err)
	}
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	go m.watch(watching, id)
	conn, err := (&vm{m: m, id: id}).dial(ctx, guest.AgentPort)
	if err == nil {
		return &watched{conn, stop}, nil
	}
	stop()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, m.lost(id, err)
}

// Stats implements machine.Machine. The memory is at most what the sandbox was
// promised: what QEMU and the guest's kernel use beyond that is the machine's.
func (m *Machine) Stats(_ context.Context, id string) (machine.Usage, error) {
	if err := machine.CheckID(id); err != nil {
		return machine.Usage{}, err
	}
	usage, err := m.cgroups.Usage(m.group(id))
	if errors.Is(err, fs.ErrNotExist) {
		return machine.Usage{}, absent(id, err)
	}
	if err != nil {
		return machine.Usage{}, err
	}
	promised, err := m.sizeOf(id)
	return machine.Usage{CPUSeconds: usage.CPUSeconds, Memory: min(usage.Memory, promised.Memory)}, err
}

// Destroy implements machine.Machine.
func (m *Machine) Destroy(ctx context.Context, id string) error {
	if err := machine.CheckID(id); err != nil {
		return err
	}
	return m.destroy(ctx, id)
}

func (m *Machine) destroy(ctx context.Context, id string) error {
	if err := m.cgroups.Remove(ctx, m.group(id)); err != nil {
		return fmt.Errorf("destroy VM %s: %w", id, err)
	}
	if err := os.RemoveAll(m.dir(id)); err != nil {
		return fmt.Errorf("destroy VM %s: %w", id, err)
	}
	return nil
}

// List implements machine.Machine.
func (m *Machine) List(context.Context) ([]string, error) {
	ids, err := m.ids()
	if err != nil {
		return nil, fmt.Errorf("list sandboxes: %w", err)
	}
	return slices.DeleteFunc(ids, func(id string) bool { return !machine.IsSandboxID(id) }), nil
}

// ids are those of all VMs.
func (m *Machine) ids() ([]string, error) {
	ids, err := m.cgroups.List(m.conf.Prefix)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(m.vms())
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		ids = append(ids, entry.Name())
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// Clean destroys every VM and removes the cgroup of them all.
func (m *Machine) Clean(ctx context.Context) error {
	ids, err := m.ids()
	for _, id := range ids {
		err = errors.Join(err, m.destroy(ctx, id))
	}
	return errors.Join(err, m.cgroups.Remove(ctx, m.conf.Prefix))
}
