package gvisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/runsc"
	"cis/internal/cgroup"
	"cis/internal/machine"
	"cis/internal/osthread"
)

// Start implements machine.Machine.
func (m *Machine) Start(ctx context.Context, s machine.Sandbox) error {
	if err := machine.CheckID(s.ID); err != nil {
		return err
	}
	// What makes the ID unique is made first: a sandbox that is there already stays.
	if err := os.Mkdir(m.dir(s.ID), 0o700); err != nil {
		return fmt.Errorf("start sandbox %s: %w", s.ID, err)
	}
	if err := m.start(ctx, s); err != nil {
		// What was begun goes, even when ctx has ended meanwhile.
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return fmt.Errorf("start sandbox %s: %w", s.ID, errors.Join(err, m.Destroy(after, s.ID)))
	}
	return nil
}

func (m *Machine) start(ctx context.Context, s machine.Sandbox) error {
	if i := slices.IndexFunc(s.Volumes, func(v machine.Volume) bool { return v.NFS }); i >= 0 {
		return fmt.Errorf("volume %s: gVisor has no NFS client", s.Volumes[i].Name)
	}
	config, err := m.writeConfig(s)
	if err != nil {
		return err
	}
	limits := cgroup.Limits{CPU: bootCPU(s.CPU), Memory: s.Memory, Pids: hostPids(s.Pids)}
	if err := m.cgroups.Create(m.box(s.ID), limits); err != nil {
		return err
	}
	if err := m.cgroups.Create(m.agentGroup(s.ID), cgroup.Limits{}); err != nil {
		return err
	}
	ready, err := m.launch(s, config)
	if err != nil {
		return err
	}
	defer ready.Close()
	if err := waitReady(ctx, ready); err != nil {
		return err
	}
	return m.cgroups.Set(m.box(s.ID), cgroup.Limits{CPU: s.CPU})
}

func (m *Machine) agentGroup(id string) string { return m.group(id) + "/agent" }

// bootCPU is the cpu limit while the sandbox boots. gVisor shows the program as
// many processors as the limit needs, but no less than two, and a small limit
// would slow the boot down; the real one holds from the end of Start on.
func bootCPU(limit api.CPU) api.CPU {
	const core = 1000
	return max(2*core, (limit+core-1)/core*core)
}

// hostPids is the limit of host processes and threads for a limit inside. gVisor
// runs a process inside as about two of the host's, beside some dozens of its own.
// It cannot refuse a fork itself: a sandbox that reaches the limit ends.
func hostPids(inside int64) int64 {
	if inside == 0 {
		return 0
	}
	const own = 256
	return 3*inside + own
}

func (m *Machine) writeConfig(s machine.Sandbox) (string, error) {
	c := runsc.Config{
		ID: s.ID, Dir: m.dir(s.ID), Hostname: s.Hostname, NetNS: s.NIC.NetNS,
		Runsc: m.conf.RunscPath, Pause: m.conf.PausePath, PauseImage: m.pauseImage,
		Cgroup: m.box(s.ID), OOMEvents: m.cgroups.OOMEvents(m.box(s.ID)), PidsEvents: m.cgroups.PidsEvents(m.box(s.ID)),
	}
	for _, v := range s.Volumes {
		c.Volumes = append(c.Volumes, agentpb.Volume{Name: v.Name, Disk: v.Disk, Memory: v.Memory, SizeLimit: v.SizeLimit, Group: v.Group, Regroup: v.Regroup})
	}
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return "", err
	}
	path := filepath.Join(c.Dir, "sandbox.json")
	return path, os.WriteFile(path, data, 0o600)
}

// launch starts the agent in its cgroup, its session and the VPC's network
// namespace, from where its probes reach the instance. It returns the pipe on
// which the agent tells that it is ready.
func (m *Machine) launch(s machine.Sandbox, config string) (*os.File, error) {
	log, err := os.OpenFile(filepath.Join(m.dir(s.ID), "agent.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	ready, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := exec.Command(m.conf.AgentPath, "gvisor", config)
	cmd.Dir = "/"
	cmd.Env = []string{}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := m.startIn(cmd, s); err != nil {
		ready.Close()
		return nil, fmt.Errorf("start the agent: %w", err)
	}
	machine.Expendable(cmd.Process.Pid)
	// The agent outlives us; while we live we have to take note of its end.
	go func() {
		m.conf.Log.Debug("an agent ended", "sandbox", s.ID, "how", cmd.Wait())
	}()
	return ready, nil
}

// startIn starts the command from a thread that has moved where the command shall
// be.
func (m *Machine) startIn(cmd *exec.Cmd, s machine.Sandbox) error {
	return osthread.Do(func() error {
		if err := enterNetNS(s.NIC.RouterNS); err != nil {
			return err
		}
		if err := hideMounts(s); err != nil {
			return err
		}
		return m.cgroups.Start(cmd, m.agentGroup(s.ID))
	})
}

// hideMounts gives an agent that will mount disks a mount namespace of its own: nobody
// else sees the mounts, and they end with the sandbox, however that comes about.
func hideMounts(s machine.Sandbox) error {
	if !slices.ContainsFunc(s.Volumes, func(v machine.Volume) bool { return v.Disk != "" }) {
		return nil
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	// What the host unmounts shall not be held up here.
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("make the mounts a mount namespace's own: %w", err)
	}
	return nil
}

func enterNetNS(path string) error {
	ns, err := os.Open(path)
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace %s: %w", path, err)
	}
	return nil
}

// waitReady reads the agent's word: "ok", or why it cannot go on.
func waitReady(ctx context.Context, ready *os.File) error {
	stop := context.AfterFunc(ctx, func() { ready.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	data, err := io.ReadAll(io.LimitReader(ready, 16<<10))
	switch word := strings.TrimSpace(string(data)); {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	case word == runsc.ReadyWord:
		return nil
	case word != "":
		return errors.New(word)
	}
	return errors.New("the agent ended before it was ready")
}
