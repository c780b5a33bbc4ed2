package runsc

import (
	"context"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"

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

// lastWords are what the program has left.
func (c *container) lastWords(ctx context.Context) (string, error) {
	return c.sandbox.errands.Words(ctx, launch.MessageFile(reportsDir, c.id))
}
