// Package stage sets up what the end-to-end tests and the benchmarks play on: a
// cisd of their own from bin/, and a real registry, with directories, names and
// addresses that nothing else on the host uses. When it is closed it tells what the
// programs have left behind.
//
// It drives the built programs, and knows nothing of their inside. Traffic stays on
// loopback and in cisd's own networks.
package stage

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"cis/client"
	"cis/internal/busybox"
)

// Config of a stage.
type Config struct {
	// Bin is the directory of the programs; empty: bin/ of the module.
	Bin string
	// Flags of cisd beside those that keep stages apart.
	Flags []string
}

// Stage is a cisd with a registry.
type Stage struct {
	// Bin is the directory of the programs.
	Bin string
	// Dir holds all files of the stage.
	Dir string
	// Prefix of the names that cisd makes on the host.
	Prefix string
	// Host is where cisd listens, as CIS_HOST wants it.
	Host string
	// Registry is the host:port of the registry.
	Registry string
	// Image is a reference to a busybox in it.
	Image string
	// Client of cisd.
	Client *client.Client

	flags    []string
	registry *process
	cisd     *process
}

// patience is how long a program may take to answer or to end. It is there to
// fail at last, not to measure: a loaded machine may take a while.
const patience = 60 * time.Second

// Open starts a stage.
func Open(ctx context.Context, c Config) (_ *Stage, err error) {
	s, err := prepare(c)
	if err != nil {
		return nil, fmt.Errorf("open stage: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open stage: %w", err), s.Close())
		}
	}()
	if s.registry, s.Registry, err = startRegistry(ctx, s.Bin, filepath.Join(s.Dir, "registry"), ""); err != nil {
		return nil, err
	}
	s.Image = s.Registry + "/busybox:1"
	if err = s.Push(ctx, "busybox:1", busybox.Options{}); err != nil {
		return nil, err
	}
	return s, s.Start(ctx)
}

func prepare(c Config) (*Stage, error) {
	if c.Bin == "" {
		root, err := ModuleRoot()
		if err != nil {
			return nil, err
		}
		c.Bin = filepath.Join(root, "bin")
	}
	for _, program := range []string{"cis", "cisd", "cis-agent", "cis-pause", "runsc", "docker-registry", "busybox"} {
		if _, err := exec.LookPath(filepath.Join(c.Bin, program)); err != nil {
			return nil, fmt.Errorf("%w: make it with make build, or run make test", err)
		}
	}
	// The paths of unix sockets below it may have 107 bytes at most.
	dir, err := os.MkdirTemp("/tmp", "cis-")
	if err != nil {
		return nil, err
	}
	var random [3]byte
	rand.Read(random[:])
	s := &Stage{Bin: c.Bin, Dir: dir, Prefix: fmt.Sprintf("t%x", random[:2]), Host: "unix://" + filepath.Join(dir, "run", "cis.sock")}
	// Not 10.88, nor the first part of the link-local range: they are a running cisd's.
	s.flags = append([]string{
		"-data-dir", filepath.Join(dir, "data"), "-run-dir", filepath.Join(dir, "run"), "-prefix", s.Prefix,
		"-cidr", fmt.Sprintf("10.%d.%d.0/22", 100+random[2]%100, random[0]&^3),
		"-link-cidr", fmt.Sprintf("169.254.%d.0/24", 128+random[2]%120),
		"-docker-config", "", "-dns", "127.0.0.1:9",
	}, c.Flags...)
	s.Client, err = client.New(client.Options{Host: s.Host})
	return s, err
}

// ModuleRoot finds the folder with go.mod above the working directory.
func ModuleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("no go.mod above the working directory")
}

// Push makes a busybox image and pushes it under a name without the registry's.
func (s *Stage) Push(ctx context.Context, name string, o busybox.Options) error {
	img, err := s.NewImage(o)
	if err != nil {
		return err
	}
	return busybox.Push(ctx, s.Registry+"/"+name, img)
}

// NewImage makes a busybox image.
func (s *Stage) NewImage(o busybox.Options) (v1.Image, error) {
	return busybox.Image(filepath.Join(s.Bin, "busybox"), o)
}

// Start starts cisd and waits until it answers. Flags are added to the stage's.
func (s *Stage) Start(ctx context.Context, flags ...string) error {
	p, err := start(filepath.Join(s.Dir, "cisd.log"), filepath.Join(s.Bin, "cisd"), append(s.flags, flags...)...)
	if err != nil {
		return err
	}
	s.cisd = p
	return p.wait(ctx, func(ctx context.Context) error {
		_, err := s.Client.Info(ctx)
		return err
	})
}

// Cisd is the process of cisd, 0 if there is none.
func (s *Stage) Cisd() int {
	if s.cisd == nil {
		return 0
	}
	return s.cisd.Pid()
}

// Kill ends cisd as a crash would.
func (s *Stage) Kill() error {
	if s.cisd == nil {
		return nil
	}
	err := s.cisd.end(syscall.SIGKILL)
	s.cisd = nil
	return err
}

// Stop ends cisd in good order; its instances run on.
func (s *Stage) Stop() error {
	if s.cisd == nil {
		return nil
	}
	err := s.cisd.end(syscall.SIGTERM)
	s.cisd = nil
	return err
}

// Log is what cisd has written so far, over all its starts.
func (s *Stage) Log() string {
	data, _ := os.ReadFile(filepath.Join(s.Dir, "cisd.log"))
	return string(data)
}

// Command is a call of the command line against this stage.
func (s *Stage) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.Bin, "cis"), args...)
	cmd.Env = append(os.Environ(), "CIS_HOST="+s.Host)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// Result of a command.
type Result struct {
	Stdout, Stderr string
	// Code is the exit code; -1 if it was killed.
	Code int
	Took time.Duration
}

// Cis runs the command line to its end.
func (s *Stage) Cis(ctx context.Context, stdin string, args ...string) (Result, error) {
	var stdout, stderr bytes.Buffer
	cmd := s.Command(ctx, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	began := time.Now()
	err := cmd.Run()
	r := Result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode(), time.Since(began)}
	if _, exited := errors.AsType[*exec.ExitError](err); exited && ctx.Err() == nil {
		err = nil
	}
	return r, err
}

// Close ends everything and removes it. Its error tells what cisd left behind.
func (s *Stage) Close() error {
	var errs []error
	if s.cisd != nil {
		errs = append(errs, s.endInstances())
	}
	// Waiting sandboxes and the network outlive cisd by design.
	errs = append(errs, s.Clean(), s.Leftovers())
	if s.registry != nil {
		errs = append(errs, s.registry.end(syscall.SIGTERM))
	}
	return errors.Join(append(errs, os.RemoveAll(s.Dir))...)
}

// Clean removes what cisd, which must have ended, has left on the host.
func (s *Stage) Clean() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	clean := exec.CommandContext(ctx, filepath.Join(s.Bin, "cisd"), append(slices.Clone(s.flags), "-clean")...)
	if out, err := clean.CombinedOutput(); err != nil {
		return fmt.Errorf("cisd -clean: %w\n%s", err, out)
	}
	return nil
}

// endInstances removes all instances and ends cisd. Where that is not done in time,
// cisd and the agents are ended in the way that makes Go programs write what they
// are doing.
func (s *Stage) endInstances() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.removeAll(ctx); err != nil {
		err = errors.Join(fmt.Errorf("remove the instances: %w", err), s.cisd.end(syscall.SIGQUIT))
		s.cisd = nil
		return fmt.Errorf("%w\n%s%s", err, s.Log(), s.agentStacks())
	}
	return s.Stop()
}

func (s *Stage) removeAll(ctx context.Context) error {
	list, err := s.Cis(ctx, "", "ps", "-aqA")
	if err != nil || list.Stdout == "" {
		return err
	}
	r, err := s.Cis(ctx, "", append([]string{"rm", "-fA"}, strings.Fields(list.Stdout)...)...)
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("cis rm -f: exit code %d: %s", r.Code, r.Stderr)
	}
	return err
}
