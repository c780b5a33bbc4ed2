package qemu

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"cis/api"
	"cis/internal/agent/serial"
	"cis/internal/cgroup"
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
	Log       *slog.Logger
}

// Machine makes microVMs.
type Machine struct {
	conf    Config
	cgroups *cgroup.Tree

	mu      sync.Mutex
	written bool // the initramfs is this process's
}

var _ machine.Machine = (*Machine)(nil)

// New prepares the machine: it makes Config.Dir.
func New(conf Config) (*Machine, error) {
	if len(conf.Dir) > maxDir || !filepath.IsAbs(conf.Dir) {
		return nil, fmt.Errorf("qemu: directory %q: must be absolute and at most %d bytes long", conf.Dir, maxDir)
	}
	tree, err := cgroup.Open(cgroup.Root)
	if err != nil {
		return nil, fmt.Errorf("qemu: %w", err)
	}
	m := &Machine{conf: conf, cgroups: tree}
	if err := os.MkdirAll(m.vms(), 0o700); err != nil {
		return nil, fmt.Errorf("qemu: %w", err)
	}
	return m, nil
}

// ensureInitramfs writes the archive before the first VM, so that it holds what the
// programs are now.
func (m *Machine) ensureInitramfs() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.written {
		return nil
	}
	err := m.writeInitramfs()
	m.written = err == nil
	return err
}

// writeInitramfs replaces the archive as a whole.
func (m *Machine) writeInitramfs() error {
	file, err := os.CreateTemp(m.conf.Dir, "initramfs")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if err := initramfs.Write(file, m.conf.Initramfs); err != nil {
		return err
	}
	if err := file.Chmod(0o644); err != nil { // nothing in it is secret, and no QEMU runs as root
		return err
	}
	return os.Rename(file.Name(), m.initramfs())
}

func (m *Machine) vms() string            { return filepath.Join(m.conf.Dir, "vms") }
func (m *Machine) initramfs() string      { return filepath.Join(m.conf.Dir, "initramfs.cpio") }
func (m *Machine) dir(id string) string   { return filepath.Join(m.vms(), id) }
func (m *Machine) group(id string) string { return m.conf.Prefix + "/" + id }

func (m *Machine) agentSocket(id string) string   { return filepath.Join(m.dir(id), "agent.sock") }
func (m *Machine) controlSocket(id string) string { return filepath.Join(m.dir(id), "control.sock") }

// Isolation implements machine.Machine.
func (m *Machine) Isolation() api.Isolation { return api.IsolationVM }

// Check implements machine.Machine: it asks QEMU for its version.
func (m *Machine) Check(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, m.conf.QEMU, "--version").Output()
	if err != nil {
		return "QEMU does not run: " + m.conf.QEMU, fmt.Errorf("qemu: %s --version: %w", m.conf.QEMU, err)
	}
	version, _, _ := strings.Cut(string(out), "\n")
	return fmt.Sprintf("%s, emulated (TCG), kernel %s", version, filepath.Base(m.conf.Kernel)), nil
}

// sandboxID keeps foreign names away from paths and from List.
var sandboxID = regexp.MustCompile(`^s-[0-9a-f]{12}$`)

func checkID(id string) error {
	if !sandboxID.MatchString(id) {
		return &api.Error{Code: api.Internal, Message: fmt.Sprintf("%q is not the ID of a sandbox", id)}
	}
	return nil
}

func absent(id string, err error) error {
	return &api.Error{Code: api.NotFound, Message: fmt.Sprintf("sandbox %s does not exist", id), Err: err,
		Next: "the sandbox is gone; the engine makes a new one where the instance may restart"}
}

// Connect implements machine.Machine. There is one connection at a time: a second
// one waits for the end of the first.
func (m *Machine) Connect(ctx context.Context, id string) (net.Conn, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	var dialer net.Dialer
	port, err := dialer.DialContext(ctx, "unix", m.agentSocket(id))
	if err == nil {
		var conn net.Conn
		if conn, err = serial.Connect(ctx, port); err == nil {
			return conn, nil
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, absent(id, err)
}

// Stats implements machine.Machine.
func (m *Machine) Stats(_ context.Context, id string) (machine.Usage, error) {
	if err := checkID(id); err != nil {
		return machine.Usage{}, err
	}
	usage, err := m.cgroups.Usage(m.group(id))
	if errors.Is(err, fs.ErrNotExist) {
		return machine.Usage{}, absent(id, err)
	}
	return machine.Usage{CPUSeconds: usage.CPUSeconds, Memory: usage.Memory}, err
}

// Pause implements machine.Machine.
func (m *Machine) Pause(ctx context.Context, id string) error { return m.control(ctx, id, "stop") }

// Resume implements machine.Machine.
func (m *Machine) Resume(ctx context.Context, id string) error { return m.control(ctx, id, "cont") }

// Destroy implements machine.Machine.
func (m *Machine) Destroy(ctx context.Context, id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	if err := m.cgroups.Remove(ctx, m.group(id)); err != nil {
		return fmt.Errorf("destroy sandbox %s: %w", id, err)
	}
	if err := os.RemoveAll(m.dir(id)); err != nil {
		return fmt.Errorf("destroy sandbox %s: %w", id, err)
	}
	return nil
}

// List implements machine.Machine.
func (m *Machine) List(context.Context) ([]string, error) {
	ids, err := m.cgroups.List(m.conf.Prefix)
	if err != nil {
		return nil, fmt.Errorf("list sandboxes: %w", err)
	}
	entries, err := os.ReadDir(m.vms())
	if err != nil {
		return nil, fmt.Errorf("list sandboxes: %w", err)
	}
	for _, entry := range entries {
		ids = append(ids, entry.Name())
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return !sandboxID.MatchString(id) })
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// Clean destroys every sandbox and removes the cgroup of them all.
func (m *Machine) Clean(ctx context.Context) error {
	ids, err := m.List(ctx)
	for _, id := range ids {
		err = errors.Join(err, m.Destroy(ctx, id))
	}
	return errors.Join(err, m.cgroups.Remove(ctx, m.conf.Prefix))
}
