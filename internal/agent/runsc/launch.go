package runsc

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"cis/internal/agent/agentpb"
	"cis/internal/agent/caps"
	"cis/internal/agent/launch"
	"cis/internal/agent/linux/inside"
)

// gVisor mounts whole volumes and no file of the sandbox's own. So a container that wants a
// part of one, or a file for its last words, begins with cis-pause, which has the whole ones
// for that long (package launch).

// launches tells whether the container needs that.
func launches(c *agentpb.Container) bool {
	return c.MessagePath != "" || slices.ContainsFunc(c.Mounts, func(m agentpb.Mount) bool { return m.SubPath != "" })
}

// reportsSource is only a name, as fileSource is.
const reportsSource = "/cis-reports"

// reportsDir is where the root container has launch.ReportsDir.
const reportsDir = FilesDir + "/reports"

// reportsMount is the root container's, with the annotations that let others share it.
func reportsMount(annotations map[string]string) specs.Mount {
	share(annotations, reportsSource, "rw,nosuid,mode=0700,size=4194304")
	return specs.Mount{Destination: reportsDir, Type: "tmpfs", Source: reportsSource, Options: []string{"nosuid"}}
}

// launchCapabilities are what a launcher needs beside those that its program shall have.
var launchCapabilities = []string{
	"CAP_SYS_ADMIN", "CAP_SETPCAP", "CAP_SETUID", "CAP_SETGID", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID",
}

// launcher makes the spec of a container that of its launcher.
func (c *container) launcher(r *startRequest) error {
	mask, err := caps.Mask(c.spec.Capabilities)
	if err != nil {
		return err
	}
	order := launch.Order{Report: c.id, Message: c.spec.MessagePath, ReadOnly: c.spec.ReadOnly, Program: inside.Program{
		Dir: c.spec.Cwd, UID: c.spec.UID, GID: c.spec.GID, Groups: c.spec.Groups, Capabilities: mask, NoNewPrivileges: c.spec.NoNewPrivileges,
	}}
	for _, m := range c.spec.Mounts {
		order.Mounts = append(order.Mounts, launch.Mount{SubPath: m.SubPath, Target: m.Path, ReadOnly: m.ReadOnly})
	}
	args, err := order.Args()
	if err != nil {
		return err
	}
	spec := r.args.Spec
	spec.Root.Readonly = false
	spec.Process.Args = append(args, spec.Process.Args...)
	spec.Process.Cwd, spec.Process.User, spec.Process.NoNewPrivileges = "/", specs.User{}, false
	spec.Process.Capabilities = capabilities(append(slices.Clone(launchCapabilities), c.spec.Capabilities...))
	spec.Mounts = append(spec.Mounts, specs.Mount{Destination: launch.ReportsDir, Type: "tmpfs", Source: reportsSource, Options: []string{"nosuid"}})
	if _, err := r.openImage(c.sandbox.conf.PauseImage); err != nil {
		return err
	}
	spec.Mounts = append(spec.Mounts, specs.Mount{Destination: launch.ToolDir, Type: "erofs", Options: []string{"ro"}})
	r.args.GoferMountConfs = append(r.args.GoferMountConfs, mountConf{Lower: lowerErofs, Upper: upperNone})
	return nil
}

// helper is cis-pause at work in the root container, beside what it says.
type helper struct {
	process *process
	words   *os.File
}

// help starts cis-pause in the root container.
func (s *Sandbox) help(ctx context.Context, args ...string) (*helper, error) {
	words, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	p, err := s.exec(ctx, execArgs{
		ContainerID: s.conf.ID, Filename: "/pause", WorkingDirectory: "/", Argv: append([]string{"pause"}, args...), Envv: []string{"GOMAXPROCS=1"},
	}, nil, theirs, theirs, theirs)
	if err != nil {
		words.Close()
		return nil, fmt.Errorf("cis-pause %s: %w", args[0], err)
	}
	return &helper{p, words}, nil
}

// answer is all that it says until its end.
func (h *helper) answer(ctx context.Context) (string, error) {
	defer h.words.Close()
	stop := context.AfterFunc(ctx, h.dismiss)
	defer stop()
	text, readErr := io.ReadAll(h.words)
	exit, err := h.process.Wait()
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case err != nil:
		return "", err
	case exit.Code != 0:
		return "", fmt.Errorf("cis-pause ended with exit code %d: %s", exit.Code, text)
	}
	return string(text), readErr
}

// dismiss ends one that will have nothing to say.
func (h *helper) dismiss() {
	_ = h.process.Signal(context.Background(), int(unix.SIGKILL), false) // it fails for one that has ended
}

// lastWords are what the program has left.
func (c *container) lastWords(ctx context.Context) (string, error) {
	h, err := c.sandbox.help(ctx, "words", launch.MessageFile(reportsDir, c.id))
	if err != nil {
		return "", err
	}
	return h.answer(ctx)
}
