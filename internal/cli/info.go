package cli

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"cis/api"
)

func (a *app) infoCommand() *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use:   "info",
		Short: "Describe the server: capacity, isolation, standby pool, network",
		Long:  "Describe the host and the server: capacity and what is given away, kinds of isolation\nand why each works or not, the standby pool, the network, images.",
		Example: example(`
cis info
cis info -o json`),
		Args:              usageArgs(cobra.NoArgs),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			info, err := c.Info(cmd.Context())
			if err != nil {
				return err
			}
			if out.machine() {
				return printValue(a.Out, out, info)
			}
			d := newDescription(a.palette(a.Out))
			d.info(&info)
			return d.write(a.Out)
		},
	}
	outputFlag(cmd, &out, formatJSON, formatYAML)
	return cmd
}

func (d *description) info(i *api.Info) {
	d.line("Version", i.Version)
	ours := i.Host != ""
	if ours {
		d.line("Host", i.Host)
		d.line("Kernel", i.Kernel)
		d.line("Processors", strconv.Itoa(i.CPUs))
		d.line("Memory", size(i.Memory))
		d.line("Data", i.DataDir)
	}
	if u := i.HostUsage; !u.Time.IsZero() {
		d.line("Available", joinText(size(u.MemoryAvailable)+" memory", ofText(size(u.DiskAvailable), u.Disk)+" disk",
			fmt.Sprintf("%d of %d processes", u.PidsLimit-u.Pids, u.PidsLimit)))
	}
	d.line("Images", fmt.Sprintf("%d, %s", i.Images, ofText(size(i.ImagesSize), i.ImagesMaxSize)))
	d.line("Disks", fmt.Sprintf("%d, %s", i.Disks, size(i.DisksSize)))
	d.section("Instances", func() {
		for _, p := range []api.Phase{api.PhasePending, api.PhaseRunning, api.PhaseSucceeded, api.PhaseFailed} {
			d.line(string(p), strconv.Itoa(i.Instances[p]))
		}
	})
	if ours {
		d.section("Capacity", func() {
			c := i.Capacity
			d.line("Cpu", fmt.Sprintf("%s of %s given (overcommit %g)", c.CPUUsed, c.CPU, c.CPUOvercommit))
			d.line("Memory", fmt.Sprintf("%s of %s given (%s kept for the host)", size(c.MemoryUsed), size(c.Memory), size(c.MemoryReserved)))
		})
	}
	d.section("Sizes", func() {
		d.line("Default", sizeLine(i.DefaultSize))
		for _, s := range i.Sizes {
			d.line(s.Name, sizeLine(s))
		}
		if i.AnySize {
			d.line("Any", "any other cpu and memory too")
		}
	})
	d.section("Isolation", func() {
		for _, iso := range i.Isolations {
			d.isolation(&iso)
		}
	})
	if len(i.Standby) > 0 {
		d.section("Standby", func() {
			for _, s := range i.Standby {
				d.line(s.CPU.String()+" cpu, "+s.Memory.String(), joinText(
					fmt.Sprintf("%d of %d ready", s.Ready, s.Wanted), size(s.Held)+" held",
					fmt.Sprintf("%d hits, %d misses", s.Hits, s.Misses), s.Paused))
			}
		})
	}
	d.section("Network", func() {
		d.line("VPC", i.Network.VPC)
		d.line("CIDR", i.Network.CIDR)
		d.line("Gateway", i.Network.Gateway)
		d.line("Addresses", fmt.Sprintf("%d used, %d free", i.Network.Used, i.Network.Available))
	})
}

func (d *description) isolation(i *api.IsolationInfo) {
	state, c := "works", green
	if !i.Available {
		state, c = "does not work", red
	}
	if i.Default {
		state += ", default"
	}
	if i.Detail != "" {
		state += ": " + i.Detail
	}
	d.colored(string(i.Isolation), state, c)
}

func sizeLine(s api.Size) string { return s.CPU.String() + " cpu, " + s.Memory.String() }

// ofText is a share of a whole that may be unbounded.
func ofText(part string, whole api.Bytes) string {
	if whole == 0 {
		return part
	}
	return part + " of " + size(whole)
}
