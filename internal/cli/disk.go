package cli

import (
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cis/api"
	"cis/client"
)

var disks = resource[api.Disk]{
	command: "disk", many: "disks", example: "data",
	header: []string{"NAME", "ID", "SIZE", "ISOLATION", "INSTANCE", "AGE"},
	row: func(d api.Disk, now time.Time) []string {
		return []string{d.Name, d.ID, d.Size.String(), string(d.Isolation), d.AttachedTo, since(now, d.CreatedAt)}
	},
	show: (*description).disk,
	name: func(d api.Disk) string { return d.Name }, account: func(d api.Disk) string { return d.Account },
	list: (*client.Client).Disks, get: (*client.Client).Disk, remove: (*client.Client).RemoveDisk,
}

func (d *description) disk(k api.Disk) {
	d.line("Name", k.Name)
	d.line("ID", k.ID)
	d.lines("Labels", sortedPairs(k.Labels))
	d.line("Created", d.time(&k.CreatedAt))
	d.line("Size", k.Size.String())
	d.line("Isolation", string(k.Isolation))
	d.line("Copy of", k.Snapshot)
	d.line("Instance", k.AttachedTo)
}

func (a *app) diskCommand() *cobra.Command {
	cmd := disks.parent("Keep files longer than instances live",
		"Make disks: volumes that outlive instances. One instance at a time has a disk, from its start to\n"+
			"its end; 'run --disk' names those it shall have. A disk is for one kind of isolation.", `
cis disk create data --size 10Gi
cis run -d --name db --disk data:/var/lib/postgresql/data postgres
cis disk list`)
	cmd.AddCommand(a.diskCreateCommand(), disks.listCommand(a), disks.inspectCommand(a), disks.rmCommand(a),
		a.diskResizeCommand(), a.diskAttachCommand(), a.diskDetachCommand(), a.diskSnapshotCommand())
	return cmd
}

func (a *app) diskCreateCommand() *cobra.Command {
	var d api.Disk
	var size string
	var out format
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a disk",
		Long: "Make a disk, empty or a copy of a snapshot. Its size is set aside on the host at once; a part of\n" +
			"it is the file system's own.",
		Example: example(`
cis disk create data --size 10Gi
cis disk create data --size 10Gi --isolation vm
cis disk create copy --from-snapshot before`),
		Args: usageArgs(cobra.ExactArgs(1)), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			d.Name = args[0]
			if size != "" {
				if d.Size, err = parseBytes(size); err != nil {
					return usagef("--size: %w", err)
				}
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			made, err := c.CreateDisk(cmd.Context(), d)
			if err != nil {
				return err
			}
			return disks.printMade(a, made, out)
		},
	}
	cmd.Flags().StringVar(&size, "size", "", "size, such as 10Gi (default with --from-snapshot: that of the snapshot)")
	cmd.Flags().StringVar((*string)(&d.Isolation), "isolation", "", "of the instances that can have it: auto, vm or gvisor (default: what auto is on the host)")
	cmd.Flags().StringVar(&d.Snapshot, "from-snapshot", "", "snapshot to copy")
	// The flags exist, which is all that could fail.
	_ = cmd.RegisterFlagCompletionFunc("isolation", cobra.FixedCompletions([]string{"auto", "vm", "gvisor"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("from-snapshot", snapshots.complete(a, -1))
	labelFlag(cmd, &d.Labels)
	outputFlag(cmd, &out, formatJSON, formatYAML)
	return cmd
}

func (a *app) diskResizeCommand() *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use: "resize NAME SIZE", Short: "Make a disk bigger",
		Long: "Make a disk bigger that no instance has. Its file system is as big when the next one has it.",
		Example: example(`
cis disk resize data 20Gi
cis disk resize data 20Gi -o json`),
		Args: usageArgs(cobra.ExactArgs(2)), ValidArgsFunction: disks.complete(a, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			size, err := parseBytes(args[1])
			if err != nil {
				return usagef("SIZE: %w", err)
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			changed, err := c.UpdateDisk(cmd.Context(), args[0], api.DiskUpdate{Size: size})
			if err != nil {
				return err
			}
			return disks.printMade(a, changed, out)
		},
	}
	outputFlag(cmd, &out, formatJSON, formatYAML)
	return cmd
}

func (a *app) diskAttachCommand() *cobra.Command {
	var container string
	cmd := &cobra.Command{
		Use: "attach NAME INSTANCE:PATH[:ro]", Short: "Let an instance have a disk when it starts again",
		Long: "Let an instance that has ended have a disk when it starts again. A new instance gets its disks\n" +
			"with 'run --disk'; one that runs keeps those it started with.",
		Example: example(`
cis stop web
cis disk attach data web:/data
cis start web`),
		Args: usageArgs(cobra.ExactArgs(2)), ValidArgsFunction: a.completeDiskAndInstance,
		RunE: func(cmd *cobra.Command, args []string) error {
			instance, where, _ := strings.Cut(args[1], ":")
			at, err := parseMountPoint(where)
			if err != nil || instance == "" {
				return usagef("%q is not INSTANCE:PATH[:ro]", args[1])
			}
			at.Instance, at.Container = instance, container
			c, err := a.client()
			if err != nil {
				return err
			}
			in, err := c.AttachDisk(cmd.Context(), args[0], at)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.Out, in.Spec.Name)
			return err
		},
	}
	cmd.Flags().StringVarP(&container, "container", "c", "", "container of the instance (default: the first)")
	return cmd
}

// parseMountPoint reads PATH[:ro].
func parseMountPoint(s string) (at api.DiskAttachment, err error) {
	dst, how, given := strings.Cut(s, ":")
	if !path.IsAbs(dst) || given && how != "ro" && how != "rw" {
		return at, fmt.Errorf("%q is not an absolute path, with :ro to write nothing there", s)
	}
	return api.DiskAttachment{MountPath: path.Clean(dst), ReadOnly: how == "ro"}, nil
}

func (a *app) diskDetachCommand() *cobra.Command {
	return &cobra.Command{
		Use: "detach NAME INSTANCE", Short: "Let an instance start again without a disk",
		Long: "Let an instance that has ended start again without a disk that it had. A disk is free for others\n" +
			"when its instance has ended, whether it is detached or not.",
		Example: example(`
cis stop web
cis disk detach data web`),
		Args: usageArgs(cobra.ExactArgs(2)), ValidArgsFunction: a.completeDiskAndInstance,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			in, err := c.DetachDisk(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.Out, in.Spec.Name)
			return err
		},
	}
}

func (a *app) completeDiskAndInstance(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 1 {
		return a.completeInstances(2)(cmd, args, toComplete)
	}
	return disks.complete(a, 1)(cmd, args, toComplete)
}
