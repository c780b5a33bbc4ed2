package cli

import (
	"time"

	"github.com/spf13/cobra"

	"cis/api"
	"cis/client"
)

var snapshots = resource[api.DiskSnapshot]{
	command: "disk snapshot", many: "snapshots", example: "before",
	header: []string{"NAME", "ID", "DISK", "SIZE", "ISOLATION", "AGE"},
	row: func(s api.DiskSnapshot, now time.Time) []string {
		return []string{s.Name, s.ID, s.Disk, s.Size.String(), string(s.Isolation), since(now, s.CreatedAt)}
	},
	show: (*description).snapshot,
	name: func(s api.DiskSnapshot) string { return s.Name }, account: func(s api.DiskSnapshot) string { return s.Account },
	list: (*client.Client).DiskSnapshots, get: (*client.Client).DiskSnapshot, remove: (*client.Client).RemoveDiskSnapshot,
}

func (d *description) snapshot(s api.DiskSnapshot) {
	d.line("Name", s.Name)
	d.line("ID", s.ID)
	d.lines("Labels", sortedPairs(s.Labels))
	d.line("Created", d.time(&s.CreatedAt))
	d.line("Disk", s.Disk)
	d.line("Size", s.Size.String())
	d.line("Isolation", string(s.Isolation))
}

func (a *app) diskSnapshotCommand() *cobra.Command {
	var s api.DiskSnapshot
	var out format
	cmd := &cobra.Command{
		Use: "snapshot DISK", Short: "Copy a disk as it is, and keep the copies in order",
		Long: "Copy a disk that no instance has, as it is. 'disk create --from-snapshot' makes disks of the copy.\n" +
			"A disk that is named as one of the commands below goes by its ID here.",
		Example: example(`
cis disk snapshot data --name before
cis disk create restored --from-snapshot before
cis disk snapshot list`),
		Args: usageArgs(cobra.ExactArgs(1)), ValidArgsFunction: disks.complete(a, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			s.Disk = args[0]
			made, err := c.CreateDiskSnapshot(cmd.Context(), s)
			if err != nil {
				return err
			}
			return snapshots.printMade(a, made, out)
		},
	}
	cmd.Flags().StringVar(&s.Name, "name", "", "name of the snapshot (default: its ID)")
	labelFlag(cmd, &s.Labels)
	outputFlag(cmd, &out, formatJSON, formatYAML)
	cmd.AddCommand(snapshots.listCommand(a), snapshots.inspectCommand(a), snapshots.rmCommand(a))
	return cmd
}
