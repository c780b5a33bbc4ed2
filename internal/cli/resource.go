package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"cis/api"
	"cis/client"
)

// resource is a kind of things that accounts own, or accounts themselves, as its commands
// show them.
type resource[T any] struct {
	// command is the word of the command line, many that of the texts.
	command, many string
	// example is a name for the examples; other is another one, where nobody should try rm
	// with all. ref is what names are called where they are none.
	example, other, ref string
	// removal says what rm means, where it is not that what is in use stays.
	removal string
	header  []string
	row     func(T, time.Time) []string
	show    func(*description, T)
	name    func(T) string
	// account that it belongs to; nil: none.
	account func(T) string
	list    func(*client.Client, context.Context) ([]T, error)
	get     func(*client.Client, context.Context, string) (T, error)
	remove  func(*client.Client, context.Context, string) error
}

// parent is the command that holds those of the kind.
func (r resource[T]) parent(short, long, examples string) *cobra.Command {
	return &cobra.Command{
		Use: r.command, Short: short, Long: long, Example: example(examples),
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
}

// complete offers the names of the kind.
func (r resource[T]) complete(a *app, limit int) completeFunc {
	return a.names(limit, func(ctx context.Context, c *client.Client) ([]string, error) {
		all, err := r.list(c, ctx)
		return mapText(all, r.name), err
	})
}

func (r resource[T]) listCommand(a *app) *cobra.Command {
	var out format
	var quiet bool
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"},
		Short: "List " + r.many, Long: "List " + r.many + " by name.",
		Example:           example("cis " + r.command + " list\ncis " + r.command + " list -o json"),
		Args:              usageArgs(cobra.NoArgs),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			all, err := r.list(c, cmd.Context())
			if err != nil {
				return err
			}
			return r.print(a, all, out, quiet)
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "names only")
	outputFlag(cmd, &out, formatJSON, formatYAML, formatName)
	return cmd
}

func (r resource[T]) print(a *app, all []T, out format, quiet bool) error {
	if out.machine() && !quiet {
		return printList(a.Out, out, all)
	}
	header, row := r.columns(a.everyAccount())
	t := newTable(a.palette(a.Out), header...)
	names := quiet || out == formatName
	t.headed = names
	now := time.Now()
	for _, one := range all {
		if names {
			t.add(r.name(one))
			continue
		}
		t.add(row(one, now)...)
	}
	return t.write(a.Out)
}

// columns of a list; that of all accounts begins with each one's account.
func (r resource[T]) columns(everyAccount bool) (header []string, row func(T, time.Time) []string) {
	if !everyAccount || r.account == nil {
		return r.header, r.row
	}
	return append([]string{"ACCOUNT"}, r.header...), func(one T, now time.Time) []string {
		return append([]string{r.account(one)}, r.row(one, now)...)
	}
}

func (r resource[T]) inspectCommand(a *app) *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use: "inspect NAME...", Aliases: []string{"describe"},
		Short: "Describe " + r.many,
		Long:  "Describe " + r.many + " for people. -o json and -o yaml print the record instead: one object\nfor one name, an array for several.",
		Example: example("cis " + r.command + " inspect " + r.example + "\ncis " + r.command + " inspect " + r.example +
			" -o json"),
		Args:              usageArgs(cobra.MinimumNArgs(1)),
		ValidArgsFunction: r.complete(a, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.inspect(cmd.Context(), a, args, out)
		},
	}
	outputFlag(cmd, &out, formatJSON, formatYAML)
	return cmd
}

func (r resource[T]) inspect(ctx context.Context, a *app, refs []string, out format) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	var all []T
	for _, ref := range refs {
		one, err := r.get(c, ctx, ref)
		if err != nil {
			return err
		}
		all = append(all, one)
	}
	switch {
	case out.machine() && len(all) == 1:
		return printValue(a.Out, out, all[0])
	case out.machine():
		return printList(a.Out, out, all)
	}
	d := newDescription(a.palette(a.Out))
	for i := range all {
		if i > 0 {
			d.blank()
		}
		r.show(d, all[i])
	}
	return d.write(a.Out)
}

func (r resource[T]) rmCommand(a *app) *cobra.Command {
	return r.eachCommand(a, "rm", "Remove", firstOf(r.removal, "What is in use is refused, with the names of its users."), r.remove)
}

// eachCommand does something with each one that it is given.
func (r resource[T]) eachCommand(a *app, word, verb, means string, do func(*client.Client, context.Context, string) error) *cobra.Command {
	call := "cis " + r.command + " " + word + " "
	several := "$(cis " + r.command + " list -q)"
	if r.other != "" {
		several = r.example + " " + r.other
	}
	return &cobra.Command{
		Use: word + " " + firstOf(r.ref, "NAME") + "...", Short: verb + " " + r.many, Long: verb + " " + r.many + ". " + means,
		Example:           example(call + r.example + "\n" + call + several),
		Args:              usageArgs(cobra.MinimumNArgs(1)),
		ValidArgsFunction: r.complete(a, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.each(cmd.Context(), args, func(ctx context.Context, c *client.Client, name string) (string, error) {
				return name, do(c, ctx, name)
			})
		},
	}
}

// switches are the commands that disable what is enabled, and enable it again.
func (r resource[T]) switches(a *app, means string, disable func(c *client.Client, ctx context.Context, name string, disabled bool) error) []*cobra.Command {
	to := func(disabled bool) func(*client.Client, context.Context, string) error {
		return func(c *client.Client, ctx context.Context, name string) error { return disable(c, ctx, name, disabled) }
	}
	return []*cobra.Command{
		r.eachCommand(a, "disable", "Disable", means, to(true)),
		r.eachCommand(a, "enable", "Enable", "They are as they were before they were disabled.", to(false)),
	}
}

// stateText says whether something may be used.
func stateText(disabled bool) string {
	if disabled {
		return "disabled"
	}
	return "active"
}

// printMade tells of what was made or changed: its name, or the record with -o.
func (r resource[T]) printMade(a *app, one T, out format) error {
	if out.machine() {
		return printValue(a.Out, out, one)
	}
	return r.print(a, []T{one}, formatName, true)
}

// labelFlag adds -l to a command that makes something.
func labelFlag(cmd *cobra.Command, labels *map[string]string) {
	cmd.Flags().VarP(labelValue{labels}, "label", "l", "label (may be repeated)")
}

// labelValue collects labels as the flag of run does.
type labelValue struct{ labels *map[string]string }

func (v labelValue) String() string { return "" }
func (v labelValue) Type() string   { return "KEY=VALUE" }

func (v labelValue) Set(s string) error {
	b := specBuilder{req: api.CreateInstance{InstanceSpec: api.InstanceSpec{Labels: *v.labels}}}
	err := b.label(s)
	*v.labels = b.req.Labels
	return err
}
