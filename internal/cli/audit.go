package cli

import (
	"context"
	"encoding/csv"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"cis/api"
	"cis/client"
)

// auditFlags are what the flags of audit say.
type auditFlags struct {
	from, to string
	follow   bool
	out      format
}

func (a *app) auditCommand() *cobra.Command {
	var f auditFlags
	cmd := &cobra.Command{
		Use: "audit", Short: "Show what was done for an account, and by whom",
		Long: "Show what was done for the account, oldest first: every request that changed something, looked into\n" +
			"an instance or at this record, or was refused to its caller, with who made it, from where, and how\n" +
			"it ended.",
		Example: example(`
cis audit --from 24h
cis audit -A --follow
cis audit --from 2026-01-01 --to 2026-02-01 -o csv > audit.csv`),
		Args: usageArgs(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts, err := f.options(time.Now())
			if err != nil {
				return err
			}
			return a.audit(cmd.Context(), opts, f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "beginning: a date (UTC), a time such as 2026-01-31T12:00:00Z, or a duration such as 24h before now (default: that of the record)")
	flags.StringVar(&f.to, "to", "", "end, not included, as --from (default: now)")
	flags.BoolVarP(&f.follow, "follow", "f", false, "go on with every new entry until interrupted")
	outputFlag(cmd, &f.out, formatTable, formatJSON, formatCSV)
	return cmd
}

func (f *auditFlags) options(now time.Time) (opts api.AuditOptions, err error) {
	if f.follow && f.to != "" {
		return opts, usagef("--follow has no end: leave --to out")
	}
	if opts.From, err = momentFlag("from", f.from, now); err != nil {
		return opts, err
	}
	opts.To, err = momentFlag("to", f.to, now)
	return opts, err
}

func (a *app) audit(ctx context.Context, opts api.AuditOptions, f auditFlags) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	entries, err := allAudit(ctx, c, opts)
	if err != nil {
		return err
	}
	if f.out == formatJSON && !f.follow {
		return printList(a.Out, f.out, entries)
	}
	show := a.auditWriter(f.out)
	if err := show(entries); err != nil || !f.follow {
		return err
	}
	if len(entries) > 0 {
		opts.Since = entries[len(entries)-1].ID
	}
	return c.WatchAudit(ctx, opts, func(e api.AuditEntry) error { return show([]api.AuditEntry{e}) })
}

// allAudit reads every page.
func allAudit(ctx context.Context, c *client.Client, opts api.AuditOptions) ([]api.AuditEntry, error) {
	return allSince(opts.Since, func(since int64, limit int) (api.List[api.AuditEntry], error) {
		opts.Since, opts.Limit = since, limit
		return c.Audit(ctx, opts)
	}, func(e api.AuditEntry) int64 { return e.ID })
}

// auditWriter writes entries, again and again, with a header before the first if the
// format has one.
func (a *app) auditWriter(out format) func([]api.AuditEntry) error {
	switch out {
	case formatJSON:
		return func(entries []api.AuditEntry) error {
			for i := range entries {
				if err := printStream(a.Out, out, &entries[i]); err != nil {
					return err
				}
			}
			return nil
		}
	case formatCSV:
		return auditCSV(a.Out)
	}
	header := []string{"TIME", "USER", "ACTION", "OBJECT", "RESULT", "FROM", "MESSAGE"}
	every := a.everyAccount()
	if every {
		header = append([]string{"ACCOUNT"}, header...)
	}
	t := newTable(a.palette(a.Out), header...)
	return func(entries []api.AuditEntry) error {
		for i := range entries {
			row := auditRow(&entries[i])
			if every {
				row = append([]cell{{text: entries[i].Account}}, row...)
			}
			t.addCells(row...)
		}
		return t.write(a.Out)
	}
}

func auditRow(e *api.AuditEntry) []cell {
	user, c := e.User, color(0)
	if e.CallerAccount != "" {
		user = e.CallerAccount + "/" + e.User
	}
	if e.Message != "" {
		c = red
	}
	return []cell{{text: e.Time.UTC().Format(time.RFC3339)}, {text: user}, {text: e.Action}, {text: e.Object}, {text: e.Result, color: c},
		{text: e.From}, {text: e.Message}}
}

// auditCSV writes a line for each entry; its columns are always the same.
func auditCSV(w io.Writer) func([]api.AuditEntry) error {
	out := csv.NewWriter(w)
	lines := [][]string{{"id", "time", "account", "user", "key", "callerAccount", "from", "action", "object", "result", "message", "requestID"}}
	return func(entries []api.AuditEntry) error {
		for _, e := range entries {
			lines = append(lines, []string{strconv.FormatInt(e.ID, 10), e.Time.UTC().Format(time.RFC3339Nano), e.Account, e.User, e.Key,
				e.CallerAccount, e.From, e.Action, e.Object, e.Result, e.Message, e.RequestID})
		}
		err := out.WriteAll(lines)
		lines = nil
		return err
	}
}
