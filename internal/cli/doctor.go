package cli

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"cis/internal/doctor"
)

// The address ranges that cisd uses unless its flags say otherwise.
var doctorRanges = []netip.Prefix{netip.MustParsePrefix("10.64.0.0/16"), netip.MustParsePrefix("169.254.64.0/18")}

func (a *app) doctorCommand() *cobra.Command {
	var out format
	o := doctor.Options{Ranges: doctorRanges}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check whether this host is fit for cisd, and say what to do",
		Long: "Check this host: kernel, cgroups, network, programs, isolation, memory, disk, clock, and\n" +
			"whether cisd answers. A sandbox is tried for real. The exit code is 1 if there is a problem.",
		Example: example(`
sudo cis doctor
cis doctor -o json`),
		Args:              usageArgs(cobra.NoArgs),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			o.Server = c.Info
			o.Libexec = firstOf(o.Libexec, besideProgram())
			findings := doctor.Run(cmd.Context(), o)
			if out.machine() {
				err = printList(a.Out, out, findings)
			} else {
				err = a.printFindings(findings)
			}
			if err == nil && !doctor.Healthy(findings) {
				return exitWith(exitFailure, nil)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.DataDir, "data-dir", "/var/lib/cis", "data directory of cisd")
	f.StringVar(&o.Libexec, "libexec-dir", "", "directory of cisd, cis-agent, cis-pause and runsc (default: this program's)")
	outputFlag(cmd, &out, formatJSON, formatYAML)
	return cmd
}

// besideProgram is the directory of this program, where a build puts the others.
func besideProgram() string {
	exe, err := os.Executable()
	if err != nil {
		return "."
	}
	return filepath.Dir(exe)
}

// printFindings writes a line for each finding, and one for what to do about it.
func (a *app) printFindings(findings []doctor.Finding) error {
	var b strings.Builder
	colors := map[doctor.Level]color{doctor.OK: green, doctor.Warning: yellow, doctor.Problem: red}
	styles, count := a.palette(a.Out), map[doctor.Level]int{}
	for _, f := range findings {
		count[f.Level]++
		level := styles.paint(colors[f.Level], fmt.Sprintf("%-9s", f.Level))
		fmt.Fprintf(&b, "%s%-18s%s\n", level, f.Check, clean(f.Detail))
		if f.Next != "" {
			fmt.Fprintf(&b, "%27s→ %s\n", "", clean(f.Next))
		}
	}
	fmt.Fprintf(&b, "\n%d ok, %d warnings, %d problems\n", count[doctor.OK], count[doctor.Warning], count[doctor.Problem])
	_, err := fmt.Fprint(a.Out, b.String())
	return err
}
