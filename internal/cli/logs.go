package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"cis/api"
	"cis/client"
)

func (a *app) logsCommand() *cobra.Command {
	var opts api.LogOptions
	var since string
	cmd := &cobra.Command{
		Use:   "logs NAME",
		Short: "Show the output of an instance",
		Long: "Show what the programs of an instance wrote, running or ended. With several containers\n" +
			"and no -c, each line begins with its container's name. -f ends when the instance does.",
		Example: example(`
cis logs web
cis logs -f --tail 20 web
cis logs --since 10m --timestamps web
cis logs --previous -c app web`),
		Args:              usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: a.completeInstances(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if since != "" {
				t, err := parseSince(since, time.Now())
				if err != nil {
					return err
				}
				opts.Since = t
			}
			return a.logs(cmd.Context(), args[0], opts)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&opts.Follow, "follow", "f", false, "go on until the instance ends")
	f.IntVarP(&opts.Tail, "tail", "n", -1, "only that many last lines")
	f.StringVar(&since, "since", "", "only what is newer: a duration such as 10m, or a time such as 2026-01-31T12:00:00Z")
	f.BoolVar(&opts.Timestamps, "timestamps", false, "begin each line with its time")
	f.BoolVarP(&opts.Previous, "previous", "p", false, "the attempt before the latest restart")
	f.StringVarP(&opts.Container, "container", "c", "", "container (default: all)")
	return cmd
}

// parseSince reads a time, or a duration before now.
func parseSince(s string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", time.DateTime, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usagef("--since: %q is neither a duration such as 10m nor a time such as 2026-01-31T12:00:00Z", s)
}

func (a *app) logs(ctx context.Context, ref string, opts api.LogOptions) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	if opts.Container != "" {
		return a.logsOf(ctx, c, ref, opts, "")
	}
	inst, err := c.Get(ctx, ref)
	if err != nil {
		return err
	}
	if len(inst.Spec.InitContainers)+len(inst.Spec.Containers)+len(inst.Spec.EphemeralContainers) == 1 {
		return a.logsOf(ctx, c, inst.ID, opts, "")
	}
	return a.logsOfAll(ctx, c, &inst, opts)
}

// prefixColors tell the containers' lines apart.
var prefixColors = []color{cyan, yellow, green, purple, blue, red}

// logsOfAll shows every container: all at once when following, else one after
// the other, without those that have not run.
func (a *app) logsOfAll(ctx context.Context, c *client.Client, inst *api.Instance, opts api.LogOptions) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	styles := a.palette(a.Out)
	for i, name := range containerNames(inst, opts) {
		opts := opts
		opts.Container = name
		prefix := styles.paint(prefixColors[i%len(prefixColors)], "["+name+"]") + " "
		show := func() {
			if err := a.logsOf(ctx, c, inst.ID, opts, prefix); err != nil {
				cancel(err)
			}
		}
		if opts.Follow {
			wg.Go(show)
		} else {
			show()
		}
	}
	wg.Wait()
	return context.Cause(ctx)
}

// containerNames in the order of their start: those that have the output that is
// asked for, or will have it.
func containerNames(inst *api.Instance, opts api.LogOptions) []string {
	var names []string
	without := map[string]bool{}
	for _, s := range slices.Concat(allContainers(&inst.Status), inst.Status.EphemeralContainerStatuses) {
		again := s.RestartCount > 0
		without[s.Name] = opts.Previous && !again || !opts.Follow && !again && s.State.Waiting != nil
	}
	for _, list := range [][]api.Container{inst.Spec.InitContainers, inst.Spec.Containers, added(&inst.Spec)} {
		for _, c := range list {
			if !without[c.Name] {
				names = append(names, c.Name)
			}
		}
	}
	return names
}

// logsOf writes one container's output, each stream to its own.
func (a *app) logsOf(ctx context.Context, c *client.Client, ref string, opts api.LogOptions, prefix string) error {
	if prefix == "" && !opts.Timestamps {
		return c.Logs(ctx, ref, opts, func(e client.LogEntry) error {
			w := a.Out
			if e.Stream == int(api.LogStderr) {
				w = a.Err
			}
			_, err := w.Write(e.Data)
			return err
		})
	}
	out, errOut := &lineWriter{w: a.Out, prefix: prefix}, &lineWriter{w: a.Err, prefix: prefix}
	err := c.Logs(ctx, ref, opts, func(e client.LogEntry) error {
		if e.Stream == int(api.LogStderr) {
			return errOut.write(e.Time, e.Data)
		}
		return out.write(e.Time, e.Data)
	})
	return errors.Join(err, out.flush(), errOut.flush())
}

// lineWriter writes whole lines, each with a prefix and, if known, its time.
type lineWriter struct {
	w      io.Writer
	prefix string
	line   []byte
}

// stampLayout has a fixed width, so that lines line up.
const stampLayout = "2006-01-02T15:04:05.000000000Z07:00 "

func (l *lineWriter) write(at time.Time, data []byte) error {
	for piece := range bytes.Lines(data) {
		if len(l.line) == 0 {
			l.line = append(l.line, l.prefix...)
			if !at.IsZero() {
				l.line = at.UTC().AppendFormat(l.line, stampLayout)
			}
		}
		l.line = append(l.line, piece...)
		if piece[len(piece)-1] == '\n' || len(l.line) > maxLine {
			if err := l.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxLine is where a line without an end is cut.
const maxLine = 1 << 20

// flush writes what is there of a line, with the end it may lack.
func (l *lineWriter) flush() error {
	if len(l.line) == 0 {
		return nil
	}
	if l.line[len(l.line)-1] != '\n' {
		l.line = append(l.line, '\n')
	}
	_, err := l.w.Write(l.line)
	l.line = l.line[:0]
	return err
}
