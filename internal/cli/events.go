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
	t := eventTable(a.palette(a.Out), true)
	show := func(e *api.Event) error {
		if out.machine() {
			return printStream(a.Out, out, e)
		}
		addEvent(t, e, time.Now(), true)
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

// eventPage is how many events are asked for at once.
const eventPage = 1000

// allEvents reads every page.
func allEvents(ctx context.Context, c *client.Client, opts client.EventOptions) ([]api.Event, error) {
	opts.Limit = eventPage
	for all := []api.Event(nil); ; {
		page, err := c.Events(ctx, opts)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if len(page.Items) < eventPage {
			return all, nil
		}
		opts.Since = all[len(all)-1].ID
	}
}

// eventTable is with the instance's name where events of several are shown.
func eventTable(styles palette, named bool) *table {
	header := []string{"AGE", "TYPE", "REASON", "CONTAINER", "MESSAGE"}
	if named {
		header = []string{"AGE", "TYPE", "REASON", "INSTANCE", "CONTAINER", "MESSAGE"}
	}
	return newTable(styles, header...)
}

func addEvent(t *table, e *api.Event, now time.Time, named bool) {
	age := since(now, e.LastSeen)
	if e.Count > 1 {
		age = fmt.Sprintf("%s (x%d in %s)", age, e.Count, ago(now.Sub(e.FirstSeen)))
	}
	c := color(0)
	if e.Type == api.EventWarning {
		c = yellow
	}
	row := []cell{{text: age}, {text: string(e.Type), color: c}, {text: e.Reason, color: c}}
	if named {
		row = append(row, cell{text: e.Instance})
	}
	t.addCells(append(row, cell{text: e.Container}, cell{text: e.Message})...)
}
