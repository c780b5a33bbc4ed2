package runsc

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"cis/internal/agent/errand"
)

// platform is how gVisor intercepts system calls: the one that needs neither KVM
// nor ptrace rights.
const platform = "systrap"

func (c Config) bundle() string   { return filepath.Join(c.Dir, "bundle") }
func (c Config) emptyDir() string { return filepath.Join(c.bundle(), "root") }
func (c Config) pidFile() string  { return filepath.Join(c.Dir, "runsc.pid") }

// Boot starts the sandbox with its root container and returns its runtime. The
// calling process becomes the sandbox's parent, and the sandbox ends when that
// process does. After an error, what may be left is in Config.Dir and Config.Cgroup.
func Boot(ctx context.Context, c Config) (*Sandbox, error) {
	s, err := boot(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("boot sandbox %s: %w", c.ID, err)
	}
	return s, nil
}

func boot(ctx context.Context, c Config) (*Sandbox, error) {
	// The sandbox's parent, runsc, ends at once; its end shall be told to us, not
	// to init.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("become a subreaper: %w", err)
	}
	volumes, err := openVolumes(c)
	if err != nil {
		return nil, err
	}
	if err := writeBundle(c, rootSpec(c, volumes)); err != nil {
		return nil, err
	}
	pipes, err := openPipes()
	if err != nil {
		return nil, err
	}
	log := follow(pipes.log.read)
	err = runSandbox(ctx, c, pipes)
	pipes.closeTheirs()
	if err != nil {
		pipes.closeOurs()
		return nil, fmt.Errorf("%w: %s", err, log.wait())
	}
	pid, err := readPid(c.pidFile())
	if err != nil {
		pipes.closeOurs() // which ends the sandbox
		return nil, err
	}
	s := &Sandbox{
		conf: c, control: control{c.controlSocket()}, volumes: volumes,
		hold: pipes.in.write, errands: errand.NewClient(pipes.in.write, pipes.out.read),
		containers: map[string]*container{}, files: map[string]int{}, lost: make(chan struct{}),
	}
	go s.watch(pid, log)
	return s, nil
}

func writeBundle(c Config, spec *specs.Spec) error {
	for _, dir := range []string{c.emptyDir(), c.stateDir()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	data, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.bundle(), "config.json"), data, 0o600)
}

// runSandbox runs runsc, which returns when the root container runs.
func runSandbox(ctx context.Context, c Config, p *pipes) error {
	cmd := exec.CommandContext(ctx, c.Runsc,
		"--root="+c.stateDir(),
		// The pipe is file 3 of runsc, which opens it anew and hands it on: the log
		// is bounded by its reader, and no file grows.
		"--log=/proc/self/fd/3", "--panic-log=/proc/self/fd/3", "--log-format=text",
		"--platform="+platform,
		"--network=sandbox", "--net-raw",
		"--overlay2=none",
		// Without it the sandbox runs as nobody, in a user namespace of its own and
		// under a seccomp filter without file system calls; it needs none here.
		"--directfs=false",
		"run", "--detach", "--bundle="+c.bundle(), "--pid-file="+c.pidFile(), c.ID)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.in.read, p.out.write, p.log.write
	cmd.ExtraFiles = []*os.File{p.log.write}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("runsc run: %w", err)
	}
	return nil
}

func readPid(path string) (int, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(data)))
}

type pipe struct{ read, write *os.File }

// pipes join the agent with cis-pause's standard input and output and with the
// sandbox's log.
type pipes struct{ in, out, log pipe }

func openPipes() (*pipes, error) {
	var p pipes
	for _, one := range []*pipe{&p.in, &p.out, &p.log} {
		var err error
		if one.read, one.write, err = os.Pipe(); err != nil {
			p.closeOurs()
			p.closeTheirs()
			return nil, err
		}
	}
	return &p, nil
}

// closeTheirs closes the ends that the sandbox holds; closing nil is harmless.
func (p *pipes) closeTheirs() {
	p.in.read.Close()
	p.out.write.Close()
	p.log.write.Close()
}

// closeOurs closes the other ends but for the log's, which its reader closes.
func (p *pipes) closeOurs() {
	p.in.write.Close()
	p.out.read.Close()
}
