package cli

import (
	"context"

	"github.com/spf13/cobra"

	"cis/api"
	"cis/client"
)

// inspectEvents is how many of the last events a description shows.
const inspectEvents = 10

func (a *app) inspectCommand() *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use:     "inspect NAME...",
		Aliases: []string{"describe"},
		Short:   "Describe instances: state, settings, cost, timings and last events",
		Long: "Describe instances for people. -o json and -o yaml print the record instead: one\n" +
			"object for one name, an array for several.",
		Example: example(`
cis inspect web
cis inspect web -o json
cis inspect $(cis ps -q) -o yaml`),
		Args:              usageArgs(cobra.MinimumNArgs(1)),
		ValidArgsFunction: a.completeInstances(-1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.inspect(cmd.Context(), args, out)
		},
	}
	outputFlag(cmd, &out, formatJSON, formatYAML)
	return cmd
}

func (a *app) inspect(ctx context.Context, refs []string, out format) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	var all []api.Instance
	for _, ref := range refs {
		inst, err := c.Get(ctx, ref)
		if err != nil {
			return err
		}
		all = append(all, inst)
	}
	if out.machine() {
		if len(all) == 1 {
			return printValue(a.Out, out, all[0])
		}
		return printList(a.Out, out, all)
	}
	for i := range all {
		events, err := lastEvents(ctx, c, all[i].ID, inspectEvents)
		if err != nil {
			return err
		}
		cost, err := costSoFar(ctx, c, &all[i])
		if err != nil {
			return err
		}
		d := newDescription(a.palette(a.Out))
		if i > 0 {
			d.blank()
		}
		d.instance(&all[i], cost, events)
		if err := d.write(a.Out); err != nil {
			return err
		}
	}
	return nil
}

// lastEvents gives the newest events of an instance, oldest first.
func lastEvents(ctx context.Context, c *client.Client, ref string, n int) ([]api.Event, error) {
	events, err := allEvents(ctx, c, client.EventOptions{Instance: ref})
	if len(events) > n {
		events = events[len(events)-n:]
	}
	return events, err
}
