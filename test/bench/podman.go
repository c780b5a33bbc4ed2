package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	cmd := p.command(ctx, append([]string{"run", "--rm", "--network=bridge", "--pull=never", p.image}, command...)...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	err := p.within(func() error { return cmd.Start() })
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return 0, fmt.Errorf("podman run: %w\n%s", err, &out)
	}
	return time.Since(began), nil
}

// within calls f on a thread in podman's network namespace, which a program that f
// starts inherits.
func (p *podman) within(f func() error) error {
	return osthread.Do(func() error {
		if err := unix.Setns(int(p.space.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		return f()
	})
}

// close removes what podman has made.
func (p *podman) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	defer p.space.Close()
	cmd := p.command(ctx, "system", "reset", "--force")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	err := p.within(func() error { return cmd.Start() })
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		err = fmt.Errorf("podman system reset: %w\n%s", err, &out)
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
