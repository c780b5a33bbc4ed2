package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cis/api"
	"cis/client"
)

// psOptions are the flags of ps.
type psOptions struct {
	all      bool
	selector string
	filters  []string
	out      format
	quiet    bool
	watch    bool
}

func (a *app) psCommand() *cobra.Command {
	var o psOptions
	cmd := &cobra.Command{
		Use:     "ps",
		Aliases: []string{"list", "ls"},
		Short:   "List instances",
		Long:    "List the instances that run or are about to; with -a those that have ended too.",
		Example: example(`
cis ps
cis ps -a -o wide -A
cis ps -l app=web --filter status=running -q
cis ps --watch`),
		Args:              usageArgs(cobra.NoArgs),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.ps(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.all, "all", "a", false, "also those that have ended")
	f.StringVarP(&o.selector, "selector", "l", "", "by label: k=v, k!=v, k, !k, 'k in (a,b)', joined by commas")
	f.StringArrayVar(&o.filters, "filter", nil, "by status, name, id, image, label or isolation, as KEY=VALUE (may be repeated)")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "IDs only")
	f.BoolVar(&o.watch, "watch", false, "go on with every change until interrupted")
	outputFlag(cmd, &o.out, formatWide, formatJSON, formatYAML, formatName)
	return cmd
}

func (a *app) ps(ctx context.Context, o psOptions) error {
	filter, err := parseFilters(o.filters)
	if err != nil {
		return err
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	opts := client.ListOptions{Selector: joinSelectors(o.selector, filter.labels), Phases: filter.phases}
	if len(opts.Phases) == 0 && !o.all {
		opts.Phases = []api.Phase{api.PhasePending, api.PhaseRunning}
	}
	list, err := listAll(ctx, c, opts)
	if err != nil {
		return err
	}
	list.Items = slices.DeleteFunc(list.Items, func(i api.Instance) bool { return !filter.match(&i) })
	if o.watch {
		return a.psWatch(ctx, c, o, list, filter, opts.Selector)
	}
	if o.out.machine() && !o.quiet {
		return printList(a.Out, o.out, list.Items)
	}
	t := a.psTable(o)
	for i := range list.Items {
		a.psRow(t, o, &list.Items[i])
	}
	return a.writeRows(t, o)
}

// psWatch prints the list, then each change as a line.
func (a *app) psWatch(ctx context.Context, c *client.Client, o psOptions, list api.List[api.Instance], filter psFilter, selector string) error {
	t := a.psTable(o)
	show := func(e api.WatchEvent[api.Instance]) error {
		if o.out.machine() {
			return printStream(a.Out, o.out, e)
		}
		if e.Type == "DELETED" {
			e.Object.Status = api.InstanceStatus{Phase: "Removed"}
		}
		a.psRow(t, o, &e.Object)
		return a.writeRows(t, o)
	}
	for _, inst := range list.Items {
		if err := show(api.WatchEvent[api.Instance]{Type: "ADDED", Object: inst}); err != nil {
			return err
		}
	}
	// Phases are not asked of the watch: the end of what is shown is news too.
	return c.Watch(ctx, client.ListOptions{Selector: selector}, list.Revision, func(e api.WatchEvent[api.Instance]) error {
		if !filter.match(&e.Object) {
			return nil
		}
		return show(e)
	})
}

func (a *app) psTable(o psOptions) *table {
	header := []string{"NAME", "IMAGE", "STATUS", "READY", "RESTARTS", "CPU", "MEMORY", "ADDRESS", "AGE"}
	if o.out == formatWide {
		header = append(header, "ID", "ISOLATION", "VPC", "PUBLIC", "PORTS")
	}
	if a.everyAccount() {
		header = append([]string{"ACCOUNT"}, header...)
	}
	return newTable(a.palette(a.Out), header...)
}

func (a *app) psRow(t *table, o psOptions, inst *api.Instance) {
	if o.quiet {
		t.add(inst.ID)
		return
	}
	if o.out == formatName {
		t.add(inst.Spec.Name)
		return
	}
	now := time.Now()
	row := []cell{
		{text: inst.Spec.Name}, {text: imagesText(inst)},
		{text: statusText(inst, now), color: statusColor(inst)},
		{text: readyText(inst)}, {text: strconv.Itoa(restarts(inst))},
		{text: inst.Spec.CPU.String()}, {text: inst.Spec.Memory.String()},
		{text: inst.Status.Address}, {text: since(now, inst.CreatedAt)},
	}
	if o.out == formatWide {
		row = append(row, cell{text: inst.ID}, cell{text: string(firstOfIsolation(inst))}, cell{text: inst.Spec.Network.VPC},
			cell{text: inst.Status.PublicAddress}, cell{text: strings.Join(mapText(inst.Status.Ports, publishedText), ", ")})
	}
	if a.everyAccount() {
		row = append([]cell{{text: inst.Account}}, row...)
	}
	t.addCells(row...)
}

// firstOfIsolation is the kind of sandbox it got, else the one it asked for.
func firstOfIsolation(inst *api.Instance) api.Isolation {
	if inst.Status.Isolation != "" {
		return inst.Status.Isolation
	}
	return inst.Spec.Isolation
}

// writeRows leaves the header out where only names or IDs are wanted.
func (a *app) writeRows(t *table, o psOptions) error {
	if o.quiet || o.out == formatName {
		t.headed = true
	}
	return t.write(a.Out)
}

// listAll reads every page.
func listAll(ctx context.Context, c *client.Client, opts client.ListOptions) (api.List[api.Instance], error) {
	all, err := c.List(ctx, opts)
	for err == nil && all.Continue != "" {
		opts.Continue = all.Continue
		var page api.List[api.Instance]
		page, err = c.List(ctx, opts)
		all.Items = append(all.Items, page.Items...)
		all.Continue = page.Continue
	}
	return all, err
}

// psFilter is what --filter chooses: equal keys widen, different keys narrow.
type psFilter struct {
	phases             []api.Phase
	labels             []string
	names, ids, images []string
	isolations         []string
}

func parseFilters(filters []string) (psFilter, error) {
	var f psFilter
	for _, s := range filters {
		key, value, ok := strings.Cut(s, "=")
		if !ok || value == "" {
			return f, usagef("--filter: %q is not KEY=VALUE", s)
		}
		switch key {
		case "status", "phase":
			phases, err := parsePhase(value)
			if err != nil {
				return f, err
			}
			f.phases = append(f.phases, phases...)
		case "label":
			f.labels = append(f.labels, value)
		case "name":
			f.names = append(f.names, value)
		case "id":
			f.ids = append(f.ids, value)
		case "image":
			f.images = append(f.images, value)
		case "isolation":
			f.isolations = append(f.isolations, value)
		default:
			return f, usagef("--filter: %q is not known: use status, name, id, image, label or isolation", key)
		}
	}
	return f, nil
}

func parsePhase(s string) ([]api.Phase, error) {
	if strings.EqualFold(s, "exited") {
		return []api.Phase{api.PhaseSucceeded, api.PhaseFailed}, nil
	}
	for _, p := range []api.Phase{api.PhasePending, api.PhaseRunning, api.PhaseSucceeded, api.PhaseFailed} {
		if strings.EqualFold(s, string(p)) {
			return []api.Phase{p}, nil
		}
	}
	return nil, usagef("--filter: status %q is not known: use pending, running, succeeded, failed or exited", s)
}

// match checks what the server does not filter by.
func (f *psFilter) match(inst *api.Instance) bool {
	return anyOf(f.names, func(v string) bool { return strings.Contains(inst.Spec.Name, v) }) &&
		anyOf(f.ids, func(v string) bool { return strings.HasPrefix(inst.ID, v) }) &&
		anyOf(f.isolations, func(v string) bool { return string(firstOfIsolation(inst)) == v }) &&
		anyOf(f.images, func(v string) bool {
			return slices.ContainsFunc(inst.Spec.Containers, func(c api.Container) bool { return strings.Contains(c.Image, v) })
		})
}

// anyOf is true for one of the values, and when there are none to check.
func anyOf(values []string, match func(string) bool) bool {
	return len(values) == 0 || slices.ContainsFunc(values, match)
}

func joinSelectors(selector string, labels []string) string {
	if selector != "" {
		labels = append([]string{selector}, labels...)
	}
	return fmt.Sprint(strings.Join(labels, ","))
}
