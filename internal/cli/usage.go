package cli

import (
	"context"
	"encoding/csv"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"cis/api"
	"cis/client"
)

// formatTable and formatCSV are formats of usage.
const (
	formatTable format = "table"
	formatCSV   format = "csv"
)

// usageFlags are what the flags of usage say.
type usageFlags struct {
	from, to, by, label string
	out                 format
}

func (a *app) usageCommand() *cobra.Command {
	var f usageFlags
	cmd := &cobra.Command{
		Use:   "usage [NAME]",
		Short: "Show what instances have used and what it costs",
		Long: "Show what one instance or all have used, by the second, and what it costs where the server has\n" +
			"prices: from --from to before --to, added up by instance, by the values of a label, by day\n" +
			"(UTC), or by account. Instances that were removed count as well; name one by its whole ID.",
		Example: example(`
cis usage
cis usage web --from 24h
cis usage --from 2026-01-01 --to 2026-02-01 --by label --label team
cis usage -A --by account -o csv > usage.csv`),
		Args:              usageArgs(cobra.MaximumNArgs(1)),
		ValidArgsFunction: a.completeInstances(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts, err := f.options(args, time.Now())
			if err != nil {
				return err
			}
			return a.usage(cmd.Context(), opts, f.out)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "beginning: a date (UTC), a time such as 2026-01-31T12:00:00Z, or a duration such as 24h before now (default: that of the month)")
	flags.StringVar(&f.to, "to", "", "end, not included, as --from (default: now)")
	flags.StringVar(&f.by, "by", "instance", "add up by instance, label, day or account")
	flags.StringVar(&f.label, "label", "", "with --by label: key of the label")
	outputFlag(cmd, &f.out, formatTable, formatJSON, formatCSV)
	// The flags exist, which is all that could fail.
	_ = cmd.RegisterFlagCompletionFunc("by", cobra.FixedCompletions([]string{"instance", "label", "day", "account"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("label", a.names(-1, labelKeys))
	return cmd
}

// labelKeys are the keys of the labels that instances have.
func labelKeys(ctx context.Context, c *client.Client) ([]string, error) {
	list, err := listAll(ctx, c, client.ListOptions{})
	if err != nil {
		return nil, err
	}
	keys := map[string]bool{}
	for i := range list.Items {
		for key := range list.Items[i].Spec.Labels {
			keys[key] = true
		}
	}
	return slices.Sorted(maps.Keys(keys)), nil
}

func (f *usageFlags) options(args []string, now time.Time) (api.UsageOptions, error) {
	opts := api.UsageOptions{By: api.UsageBy(f.by), Label: f.label}
	if len(args) == 1 {
		opts.Instance = args[0]
	}
	var err error
	if opts.From, err = momentFlag("from", f.from, now); err != nil {
		return opts, err
	}
	if opts.To, err = momentFlag("to", f.to, now); err != nil {
		return opts, err
	}
	checked := opts
	checked.Default(now)
	err = checked.Validate()
	if wrong, ok := errors.AsType[*api.Error](err); ok {
		return opts, usagef("--%s: %s", wrong.Field, wrong.Message)
	}
	return opts, err
}

// momentFlag reads a flag of a time; empty: zero.
func momentFlag(name, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := parseMoment(text, now)
	if err != nil {
		return t, usagef("--%s: %w", name, err)
	}
	return t, nil
}

// parseMoment reads a time, a date in UTC, or a duration before now.
func parseMoment(s string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errors.New(strconv.Quote(s) + " is not a date such as 2026-01-31, a time such as 2026-01-31T12:00:00Z, or a duration such as 24h")
}

func (a *app) usage(ctx context.Context, opts api.UsageOptions, out format) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	u, err := c.Usage(ctx, opts)
	switch {
	case err != nil:
		return err
	case out == formatJSON:
		return printValue(a.Out, out, u)
	case out == formatCSV:
		return writeUsageCSV(a.Out, &u)
	}
	return a.usageTable(&u)
}

func (a *app) usageTable(u *api.Usage) error {
	header := map[api.UsageBy]string{api.UsageByInstance: "INSTANCE", api.UsageByDay: "DAY", api.UsageByAccount: "ACCOUNT", api.UsageByLabel: clean(u.Label)}[u.By]
	columns := []string{header, "SECONDS", "VCPU-SECONDS", "GIB-SECONDS", "DISK-GIB-SECONDS", "ADDRESS-HOURS", "OUT"}
	if u.Currency != "" {
		columns = append(columns, "COST "+u.Currency)
	}
	t := newTable(a.palette(a.Out), columns...)
	for i := range u.Items {
		name := u.Items[i].Key
		if u.By == api.UsageByInstance {
			name = u.Items[i].Name + " (" + name + ")"
		}
		t.add(usageRow(name, &u.Items[i].UsageAmounts)...)
	}
	t.add(usageRow("total", &u.Total)...)
	return t.write(a.Out)
}

func usageRow(name string, m *api.UsageAmounts) []string {
	row := []string{name, string(m.Seconds), string(m.VCPUSeconds), string(m.GiBSeconds), string(m.DiskGiBSeconds),
		string(m.AddressHours), size(api.Bytes(m.BytesOut))}
	if m.Cost != "" {
		row = append(row, string(m.Cost))
	}
	return row
}

// writeUsageCSV writes a line for each item; its columns are always the same.
func writeUsageCSV(w io.Writer, u *api.Usage) error {
	out := csv.NewWriter(w)
	lines := [][]string{{string(u.By), "name", "seconds", "vcpuSeconds", "gibSeconds", "diskGiBSeconds", "addressHours", "bytesOut", "cost", "currency"}}
	for _, i := range u.Items {
		lines = append(lines, []string{i.Key, i.Name, string(i.Seconds), string(i.VCPUSeconds), string(i.GiBSeconds), string(i.DiskGiBSeconds),
			string(i.AddressHours), strconv.FormatInt(i.BytesOut, 10), string(i.Cost), u.Currency})
	}
	return out.WriteAll(lines)
}

// costSoFar is what an instance has cost; empty where there are no prices.
func costSoFar(ctx context.Context, c *client.Client, in *api.Instance) (string, error) {
	u, err := c.Usage(ctx, api.UsageOptions{Instance: in.ID, From: in.CreatedAt})
	if err != nil || u.Currency == "" {
		return "", err
	}
	return string(u.Total.Cost) + " " + u.Currency, nil
}
