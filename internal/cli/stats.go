package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"cis/api"
	"cis/client"
)

// statsEvery is the time between two samples on the screen.
const statsEvery = time.Second

func (a *app) statsCommand() *cobra.Command {
	var once, containers bool
	var out format
	cmd := &cobra.Command{
		Use:   "stats [NAME...]",
		Short: "Show what instances use",
		Long:  "Show cpu, memory, processes and traffic of the named instances, or of all that run,\nevery second until interrupted.",
		Example: example(`
cis stats
cis stats web db
cis stats --containers web
cis stats --no-stream -o json`),
		ValidArgsFunction: a.completeInstances(-1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.stats(cmd.Context(), args, once, containers, out)
		},
	}
	cmd.Flags().BoolVar(&once, "no-stream", false, "show one sample and end")
	cmd.Flags().BoolVar(&containers, "containers", false, "show each container, as the instance's sandbox counts it")
	outputFlag(cmd, &out, formatJSON, formatYAML)
	return cmd
}

func (a *app) stats(ctx context.Context, refs []string, once, containers bool, out format) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	tick := time.NewTicker(statsEvery)
	defer tick.Stop()
	for {
		samples, err := sample(ctx, c, refs)
		if err != nil {
			return err
		}
		if err := a.printStats(samples, once, containers, out); err != nil || once {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (a *app) printStats(samples []api.Stats, once, containers bool, out format) error {
	if out.machine() {
		if once {
			return printList(a.Out, out, samples)
		}
		return printStream(a.Out, out, samples)
	}
	t := a.instanceStats(samples)
	if containers {
		t = a.containerStats(samples)
	}
	if once || !isTerminal(a.Out) {
		return t.write(a.Out)
	}
	// Redrawn in place, without a flash: each line to its end, then what is below.
	var b strings.Builder
	_ = t.write(&b) // a strings.Builder never fails
	_, err := fmt.Fprintf(a.Out, "\x1b[H%s\x1b[J", strings.ReplaceAll(b.String(), "\n", "\x1b[K\n"))
	return err
}

func (a *app) instanceStats(samples []api.Stats) *table {
	t := newTable(a.palette(a.Out), "NAME", "CPU", "CPU LIMIT", "MEMORY / LIMIT", "MEM %", "PIDS", "NET IN", "NET OUT")
	for _, s := range samples {
		t.add(s.Name, cores(s.CPU), s.CPULimit.String(),
			size(s.Memory)+" / "+size(s.MemoryLimit), percent(int64(s.Memory), int64(s.MemoryLimit)),
			strconv.FormatInt(s.Pids, 10), size(api.Bytes(s.RxBytes)), size(api.Bytes(s.TxBytes)))
	}
	return t
}

func (a *app) containerStats(samples []api.Stats) *table {
	t := newTable(a.palette(a.Out), "NAME", "CONTAINER", "CPU", "CPU TIME", "MEMORY", "DISK")
	for _, s := range samples {
		for _, c := range s.Containers {
			t.add(s.Name, c.Name, cores(c.CPU), fmt.Sprintf("%.2fs", c.CPUSeconds), size(c.Memory), size(c.Disk))
		}
	}
	return t
}

func cores(n float64) string { return fmt.Sprintf("%.2f", n) }

func percent(part, whole int64) string {
	if whole <= 0 {
		return ""
	}
	return fmt.Sprintf("%.1f%%", float64(part)/float64(whole)*100)
}

// sample asks for all instances at once. Without names those that run count, and
// one that ends meanwhile is left out.
func sample(ctx context.Context, c *client.Client, refs []string) ([]api.Stats, error) {
	named := len(refs) > 0
	if !named {
		list, err := listAll(ctx, c, client.ListOptions{Phases: []api.Phase{api.PhaseRunning}})
		if err != nil {
			return nil, err
		}
		for _, inst := range list.Items {
			refs = append(refs, inst.ID)
		}
	}
	all := make([]api.Stats, len(refs))
	errs := make([]error, len(refs))
	slots := make(chan struct{}, eachLimit)
	var wg sync.WaitGroup
	for i, ref := range refs {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			all[i], errs[i] = c.Stats(ctx, ref)
		})
	}
	wg.Wait()
	var samples []api.Stats
	for i, err := range errs {
		switch code := api.CodeOf(err); {
		case err == nil:
			samples = append(samples, all[i])
		case !named && (code == api.NotFound || code == api.Conflict):
		default:
			return nil, err
		}
	}
	return samples, nil
}
