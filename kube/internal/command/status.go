package command

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"cis/kube/internal/plane"
)

func (a *app) statusCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what runs, and how",
		Long:  "Show what runs, where it listens, and what memory it takes. If nothing runs, the exit\ncode is 3.",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := plane.AskStatus(cmd.Context(), a.dataDir)
			if err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(a.Out)
				e.SetIndent("", "  ")
				return e.Encode(s)
			}
			return printStatus(a.Out, s, time.Now())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print all of it as JSON")
	return cmd
}

func printStatus(out io.Writer, s *plane.Status, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s:\t%s\n", name, value)
		}
	}
	line("State", string(s.State))
	line("Version", s.Version)
	line("Server", s.Server)
	line("For nodes", s.NodeServer)
	line("For pods", s.Endpoint)
	line("Services", s.ServiceCIDR)
	line("Node", s.Node)
	if len(s.Etcd) > 0 {
		line("etcd", fmt.Sprint(s.Etcd))
	}
	if len(s.Certificates) > 0 {
		first := s.Certificates[0]
		line("Certificates", fmt.Sprintf("the first, %s, ends on %s and is renewed before", first.File, first.Time.Format(time.DateOnly)))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	fmt.Fprintln(w, "PROGRAM\tSTATE\tFOR\tPID\tMEMORY\tRESTARTS\tLAST END")
	for _, p := range s.Programs {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d MiB\t%d\t%s\n", p.Name, p.State, since(p.Since, now), p.PID, p.RSS>>20, p.Restarts, p.LastEnd)
	}
	return w.Flush()
}

// since is how long a state has lasted; one that has been the only one has no beginning.
func since(began, now time.Time) string {
	if began.IsZero() {
		return "-"
	}
	return now.Sub(began).Round(time.Second).String()
}
