// Package gvisor is the machine.Machine whose sandboxes are gVisor's: for each one it
// starts a cis-agent on the host, which boots a runsc sandbox and supervises it.
//
// A sandbox has a directory <Dir>/sandboxes/<id>, with its agent's socket, and a
// cgroup <Prefix>/<id> with two groups below it: "sandbox" with the limits, and
// "agent", so that neither is charged for the other. Whatever is in that cgroup
// and directory is the sandbox; ending it means ending those processes and removing
// both. A sandbox whose agent has died ends by itself; what is left of it is found by
// List.
//
// The package knows nothing of containers; the agent starts them by its own
// protocol.
//
// Limits: Config.Dir may be at most 50 bytes long, because of the paths of unix
// sockets.
package gvisor

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
	"slices"
	"strings"
	"time"

	"cis/api"
	"cis/internal/agent/runsc"
	"cis/internal/cgroup"
	"cis/internal/machine"
)

// maxDir is the longest Config.Dir. The longest socket path below it is
// /sandboxes/s-0123456789ab/runsc/runsc-s-0123456789ab.sock, 57 bytes, of the 107
// that Linux allows.
const maxDir = 50

// Config of the machine.
type Config struct {
	// Dir holds the sandboxes' state. It may be at most 50 bytes long, and lives
	// on the disk that writable layers shall use.
	Dir string
	// Prefix is the cgroup of all sandboxes of this machine, such as "/cis".
	Prefix string
	// AgentPath, RunscPath and PausePath are the programs cis-agent, runsc (the
	// pinned version) and cis-pause.
	AgentPath, RunscPath, PausePath string
	Log                             *slog.Logger
}

// Machine makes gVisor sandboxes.
type Machine struct {
	conf    Config
	cgroups *cgroup.Tree
	// pauseImage is the root file system of every sandbox's root container.
	pauseImage string
}

var _ machine.Machine = (*Machine)(nil)

// New prepares the machine: it makes Config.Dir and the image of cis-pause.
func New(conf Config) (*Machine, error) {
	if len(conf.Dir) > maxDir || !filepath.IsAbs(conf.Dir) {
		return nil, fmt.Errorf("gvisor: directory %q: must be absolute and at most %d bytes long", conf.Dir, maxDir)
	}
	tree, err := cgroup.Open(cgroup.Root)
	if err != nil {
		return nil, fmt.Errorf("gvisor: %w", err)
	}
	m := &Machine{conf: conf, cgroups: tree, pauseImage: filepath.Join(conf.Dir, "pause.erofs")}
	if err := os.MkdirAll(m.sandboxes(), 0o700); err != nil {
		return nil, fmt.Errorf("gvisor: %w", err)
	}
	if err := writePauseImage(m.pauseImage, conf.PausePath); err != nil {
		return nil, fmt.Errorf("gvisor: make the image of cis-pause: %w", err)
	}
	return m, nil
}

func (m *Machine) sandboxes() string      { return filepath.Join(m.conf.Dir, "sandboxes") }
func (m *Machine) dir(id string) string   { return filepath.Join(m.sandboxes(), id) }
func (m *Machine) group(id string) string { return m.conf.Prefix + "/" + id }
func (m *Machine) box(id string) string   { return m.group(id) + "/sandbox" }

// Isolation implements machine.Machine.
func (m *Machine) Isolation() api.Isolation { return api.IsolationGVisor }

// agentMemory is what an agent holds; everything else of a sandbox counts inside its
// limit.
const agentMemory = 12 * api.MiB

// Overhead implements machine.Machine.
func (m *Machine) Overhead(api.Bytes) api.Bytes { return agentMemory }

// Check implements machine.Machine: it asks runsc for its version.
func (m *Machine) Check(ctx context.Context) (string, error) {
	for _, program := range []string{m.conf.RunscPath, m.conf.AgentPath, m.conf.PausePath} {
		if _, err := exec.LookPath(program); err != nil {
			return "a program is missing: " + program, fmt.Errorf("gvisor: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, m.conf.RunscPath, "--version").Output()
	if err != nil {
		return "runsc does not run: " + m.conf.RunscPath, fmt.Errorf("gvisor: %s --version: %w", m.conf.RunscPath, err)
	}
	version, _, _ := strings.Cut(string(out), "\n")
	return fmt.Sprintf("%s, platform systrap, cgroups version %d", version, m.cgroups.Version()), nil
}

func absent(id string, err error) error {
	return &api.Error{Code: api.NotFound, Message: fmt.Sprintf("sandbox %s does not exist", id), Err: err}
}

// Equip implements machine.Machine. A sandbox of gVisor takes everything as it comes.
func (m *Machine) Equip(_ context.Context, id string, _ machine.Disks) error {
	return machine.CheckID(id)
}

// Connect implements machine.Machine.
func (m *Machine) Connect(ctx context.Context, id string) (net.Conn, error) {
	if err := machine.CheckID(id); err != nil {
		return nil, err
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", runsc.Config{Dir: m.dir(id)}.SocketPath())
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, &api.Error{
			Code: api.NotFound, Message: fmt.Sprintf("the agent of sandbox %s does not answer", id), Err: err,
			Next: "the sandbox is gone; the engine makes a new one where the instance may restart",
		}
	}
	return conn, nil
}

// Stats implements machine.Machine.
func (m *Machine) Stats(_ context.Context, id string) (machine.Usage, error) {
	if err := machine.CheckID(id); err != nil {
		return machine.Usage{}, err
	}
	usage, err := m.cgroups.Usage(m.box(id))
	if errors.Is(err, fs.ErrNotExist) {
		return machine.Usage{}, absent(id, err)
	}
	return machine.Usage{CPUSeconds: usage.CPUSeconds, Memory: usage.Memory}, err
}

// Destroy implements machine.Machine.
func (m *Machine) Destroy(ctx context.Context, id string) error {
	if err := machine.CheckID(id); err != nil {
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
	entries, err := os.ReadDir(m.sandboxes())
	if err != nil {
		return nil, fmt.Errorf("list sandboxes: %w", err)
	}
	for _, entry := range entries {
		ids = append(ids, entry.Name())
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return !machine.IsSandboxID(id) })
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
