package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"cis/api"
	"cis/client"
)

func (a *app) eventsCommand() *cobra.Command {
	var watch bool
	var out format
	cmd := &cobra.Command{
		Use:   "events [NAME]",
		Short: "Show what happened to instances",
		Long:  "Show the steps in the life of one instance or of all, oldest first.",
		Example: example(`
cis events
cis events web
cis events -w -o json`),
		Args:              usageArgs(cobra.MaximumNArgs(1)),
		ValidArgsFunction: a.completeInstances(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var opts client.EventOptions
			if len(args) == 1 {
				opts.Instance = args[0]
			}
			return a.events(cmd.Context(), opts, watch, out)
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "go on with every new event until interrupted")
	outputFlag(cmd, &out, formatJSON, formatYAML)
	return cmd
}

func (a *app) events(ctx context.Context, opts client.EventOptions, watch bool, out format) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	events, err := allEvents(ctx, c, opts)
	if err != nil {
		return err
	}
	if out.machine() && !watch {
		return printList(a.Out, out, events)
	}
	columns := eventColumns{account: a.everyAccount(), instance: true}
	t := columns.table(a.palette(a.Out))
	show := func(e *api.Event) error {
		if out.machine() {
			return printStream(a.Out, out, e)
		}
		columns.add(t, e, time.Now())
		return nil
	}
	for i := range events {
		opts.Since = events[i].ID
		if err := show(&events[i]); err != nil {
			return err
		}
	}
	if !out.machine() {
		if err := t.write(a.Out); err != nil || !watch {
			return err
		}
	}
	return c.WatchEvents(ctx, opts, func(e api.Event) error {
		if err := show(&e); err != nil || out.machine() {
			return err
		}
		return t.write(a.Out)
	})
}

// allEvents reads every page.
func allEvents(ctx context.Context, c *client.Client, opts client.EventOptions) ([]api.Event, error) {
	return allSince(opts.Since, func(since int64, limit int) (api.List[api.Event], error) {
		opts.Since, opts.Limit = since, limit
		return c.Events(ctx, opts)
	}, func(e api.Event) int64 { return e.ID })
}

// sincePage is how many items are asked for at once.
const sincePage = 1000

// allSince reads every page of what is numbered.
func allSince[T any](since int64, page func(since int64, limit int) (api.List[T], error), number func(T) int64) ([]T, error) {
	for all := []T(nil); ; {
		list, err := page(since, sincePage)
		if err != nil {
			return nil, err
		}
		all = append(all, list.Items...)
		if len(list.Items) < sincePage {
			return all, nil
		}
		since = number(all[len(all)-1])
	}
}

// eventColumns are what a table of events has beside the events' own words: what several
// accounts or instances are told apart by.
type eventColumns struct{ account, instance bool }

func (k eventColumns) table(styles palette) *table {
	header := []string{"AGE", "TYPE", "REASON"}
	if k.account {
		header = append([]string{"ACCOUNT"}, header...)
	}
	if k.instance {
		header = append(header, "INSTANCE")
	}
	return newTable(styles, append(header, "CONTAINER", "MESSAGE")...)
}

func (k eventColumns) add(t *table, e *api.Event, now time.Time) {
	age := since(now, e.LastSeen)
	if e.Count > 1 {
		age = fmt.Sprintf("%s (x%d in %s)", age, e.Count, ago(now.Sub(e.FirstSeen)))
	}
	c := color(0)
	if e.Type == api.EventWarning {
		c = yellow
	}
	row := []cell{{text: age}, {text: string(e.Type), color: c}, {text: e.Reason, color: c}}
	if k.account {
		row = append([]cell{{text: e.Account}}, row...)
	}
	if k.instance {
		row = append(row, cell{text: e.Instance})
	}
	t.addCells(append(row, cell{text: e.Container}, cell{text: e.Message})...)
}
