package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"cis/internal/osthread"
)

// podman runs Debian's podman with a storage and a network namespace of its own, so
// that neither its images nor its bridge and rules touch the host's.
type podman struct {
	dir, runsc, image string
	space             *os.File
}

// newPodman prepares podman in dir with an image of a registry on loopback.
func newPodman(ctx context.Context, dir, runsc, image string) (*podman, error) {
	space, err := newNetNS()
	if err != nil {
		return nil, err
	}
	p := &podman{dir: dir, runsc: runsc, image: image, space: space}
	if err := p.pull(ctx, image); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// pull is in the host's namespace, where the registry is.
func (p *podman) pull(ctx context.Context, image string) error {
	if out, err := p.command(ctx, "pull", "-q", "--tls-verify=false", image).CombinedOutput(); err != nil {
		return fmt.Errorf("podman pull: %w\n%s", err, out)
	}
	return nil
}

func (p *podman) command(ctx context.Context, args ...string) *exec.Cmd {
	global := []string{
		"--root", filepath.Join(p.dir, "storage"), "--runroot", filepath.Join(p.dir, "run"), "--tmpdir", filepath.Join(p.dir, "tmp"),
		"--cgroup-manager", "cgroupfs", "--runtime", p.runsc,
	}
	return exec.CommandContext(ctx, "podman", append(global, args...)...)
}

// run is `podman run --rm` on the bridge; it returns how long it took.
func (p *podman) run(ctx context.Context, command ...string) (time.Duration, error) {
	cmd := p.onBridge(ctx, []string{"--rm"}, command)
	began := time.Now()
	_, err := p.inside(cmd)
	return time.Since(began), err
}

// start runs a container on the bridge in the background.
func (p *podman) start(ctx context.Context, name string, command ...string) error {
	_, err := p.inside(p.onBridge(ctx, []string{"-d", "--name", name}, command))
	return err
}

func (p *podman) onBridge(ctx context.Context, flags, command []string) *exec.Cmd {
	return p.command(ctx, slices.Concat([]string{"run", "--network=bridge", "--pull=never"}, flags, []string{p.image}, command)...)
}

// inside runs a command in podman's network namespace, and returns what it prints.
func (p *podman) inside(cmd *exec.Cmd) (string, error) {
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	// A program inherits the namespace of the thread that starts it.
	err := osthread.Do(func() error {
		if err := unix.Setns(int(p.space.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		return cmd.Start()
	})
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s%s", filepath.Base(cmd.Path), err, &out, &stderr)
	}
	return out.String(), err
}

// close removes what podman has made.
func (p *podman) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	defer p.space.Close()
	_, err := p.inside(p.command(ctx, "system", "reset", "--force"))
	if err != nil {
		err = fmt.Errorf("system reset: %w", err)
	}
	// Its storage is a mount of its own, which it leaves.
	if unmountErr := unix.Unmount(filepath.Join(p.dir, "storage", "overlay"), unix.MNT_DETACH); unmountErr != unix.EINVAL && unmountErr != unix.ENOENT {
		err = errors.Join(err, unmountErr)
	}
	return err
}

// newNetNS makes a network namespace with its loopback up, which lasts as long as
// the file is open.
func newNetNS() (f *os.File, err error) {
	err = osthread.Do(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		if err := exec.Command("ip", "link", "set", "lo", "up").Run(); err != nil {
			return err
		}
		f, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make a network namespace: %w", err)
	}
	return f, nil
}
