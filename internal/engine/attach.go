package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"cis/api"
	"cis/internal/agent/agentclient"
	"cis/internal/journal"
	"cis/internal/store"
)

// Logs calls fn for each piece of a container's output, oldest first. Empty
// container: the first one.
func (e *Engine) Logs(ctx context.Context, ref string, opts api.LogOptions, fn func(api.LogEntry) error) error {
	rec, err := e.find(ctx, ref)
	if err != nil {
		return err
	}
	name, err := containerName(rec.Spec, opts.Container)
	if err != nil {
		return err
	}
	l := e.life(rec.ID)
	j, number, done, err := e.openAttempt(*rec, l, name, opts.Previous)
	if err != nil {
		return err
	}
	defer done()
	from := journal.Position{}
	if j != nil {
		if from, err = begin(j, opts); err != nil {
			return err
		}
	}
	if !opts.Follow || opts.Previous || l == nil {
		return readAll(j, from, fn)
	}
	_, err = l.follower(name, number).run(ctx, from, fn)
	return err
}

// openAttempt finds the latest attempt of a container, or the one before it. The
// journal is nil if the container has not begun.
func (e *Engine) openAttempt(rec store.Instance, l *life, container string, previous bool) (*journal.Journal, int, func(), error) {
	lg := e.openRun(rec, l, rec.Run.Number)
	numbers := lg.attempts(container)
	back := 1
	if previous {
		back = 2
	}
	if len(numbers) < back && previous && rec.Run.Number > 1 {
		// The attempt before the first one of this run ended the run before.
		lg.close()
		lg = openLogs(e.logDir(rec.ID), rec.Run.Number-1)
		numbers, back = lg.attempts(container), 1
	}
	if len(numbers) < back {
		if previous {
			lg.close()
			return nil, 0, nil, api.Errorf(api.NotFound, "container %s of %s has no earlier attempt", container, rec.Spec.Name).
				WithNext("leave --previous out for the output of the latest one")
		}
		return nil, 0, lg.close, nil
	}
	number := numbers[len(numbers)-back]
	j, _ := lg.get(attempt{container, number})
	return j, number, lg.close, nil
}

// openRun opens a run's journals: those in use by a live instance, else from disk.
func (e *Engine) openRun(rec store.Instance, l *life, run int) *logs {
	if l != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.rec.Run.Number == run {
			if lg := l.logs.hold(); lg != nil {
				return lg
			}
		}
	}
	lg := openLogs(e.logDir(rec.ID), run)
	lg.end()
	return lg
}

// begin is where reading starts: the later of tail and since.
func begin(j *journal.Journal, opts api.LogOptions) (journal.Position, error) {
	var from journal.Position
	if opts.Tail >= 0 {
		p, err := j.Tail(opts.Tail)
		if err != nil {
			return from, err
		}
		from = p
	}
	if !opts.Since.IsZero() {
		offset, err := j.Since(opts.Since)
		if err != nil {
			return from, err
		}
		if offset > from.Offset {
			from = journal.Position{Offset: offset}
		}
	}
	return from, nil
}

func readAll(j *journal.Journal, from journal.Position, fn func(api.LogEntry) error) error {
	if j == nil {
		return nil
	}
	for entry, err := range j.All(from.Offset) {
		if err != nil {
			return err
		}
		if err := fn(skip(entry, from)); err != nil {
			return err
		}
	}
	return nil
}

// skip leaves out the part of the first record that comes before the position.
func skip(entry journal.Entry, from journal.Position) api.LogEntry {
	if entry.Offset == from.Offset {
		entry.Data = entry.Data[min(from.Skip, len(entry.Data)):]
	}
	return api.LogEntry{Time: entry.Time, Stream: entry.Stream, Data: entry.Data}
}

// follower reads a live container's output from one attempt to the next until
// the container has ended for good.
type follower struct {
	l         *life
	container string
	number    int
}

func (l *life) follower(container string, number int) *follower {
	return &follower{l: l, container: container, number: number}
}

// run returns the container's last state.
func (f *follower) run(ctx context.Context, from journal.Position, fn func(api.LogEntry) error) (api.ContainerStatus, error) {
	rec, _ := f.l.snapshot()
	lg := f.l.e.openRun(rec, f.l, rec.Run.Number)
	defer lg.close()
	for {
		j, begun := lg.get(attempt{f.container, f.number})
		if j != nil {
			err := j.Follow(ctx, from.Offset, func(c journal.Chunk) error {
				for entry := range c.Entries() {
					if err := fn(skip(entry, from)); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil && !errors.Is(err, journal.ErrClosed) && !errors.Is(err, os.ErrClosed) {
				return api.ContainerStatus{}, err
			}
			from = journal.Position{}
			f.number++
			continue
		}
		status, err := f.wait(ctx, begun)
		if status != nil || err != nil {
			return deref(status), err
		}
	}
}

// wait returns the container's state once it has ended for good, or nil when the
// next attempt has begun.
func (f *follower) wait(ctx context.Context, begun <-chan struct{}) (*api.ContainerStatus, error) {
	for {
		rec, changed := f.l.snapshot()
		if s := settled(rec, f.container, f.number); s != nil {
			return s, nil
		}
		select {
		case <-begun:
			return nil, nil
		case <-changed:
		case <-f.l.done:
			rec, _ := f.l.snapshot()
			if s := status(rec, f.container); s != nil && s.State.Terminated != nil {
				return s, nil
			}
			return nil, api.Errorf(api.Unavailable, "cisd is shutting down").WithNext("the instance runs on: attach again once cisd is back")
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// settled returns the container's state if it has ended for good and its
// attempts before the next one have been read.
func settled(rec store.Instance, container string, next int) *api.ContainerStatus {
	s := status(rec, container)
	if s == nil || s.State.Terminated == nil {
		return nil
	}
	if rec.Status.Phase.Finished() {
		return s
	}
	if started := !s.State.Terminated.StartedAt.IsZero(); started && s.RestartCount >= next {
		return nil // its journal is about to be opened
	}
	policy := rec.Spec.RestartPolicy
	if rec.Spec.HasEphemeral(container) {
		policy = api.RestartNever
	}
	if policy == api.RestartNever || policy == api.RestartOnFailure && s.State.Terminated.ExitCode == 0 {
		return s
	}
	return nil
}

func status(rec store.Instance, container string) *api.ContainerStatus {
	for _, statuses := range [][]api.ContainerStatus{rec.Status.ContainerStatuses, rec.Status.InitContainerStatuses, rec.Status.EphemeralContainerStatuses} {
		for i := range statuses {
			if statuses[i].Name == container {
				return &statuses[i]
			}
		}
	}
	return nil
}

func deref(s *api.ContainerStatus) api.ContainerStatus {
	if s == nil {
		return api.ContainerStatus{}
	}
	return *s
}

// Attach joins a container's program: its output, with replay from the beginning
// of the attempt, and its input. It waits for a container that has not started
// yet and returns the exit code once it has ended for good.
func (e *Engine) Attach(ctx context.Context, ref, container string, replay bool, s api.Streams) (int, error) {
	l, err := e.findLive(ctx, ref)
	if l := e.gone(ctx, ref); l != nil {
		return l.replay(container, replay, s)
	}
	if err != nil {
		if api.CodeOf(err) == api.Conflict && replay {
			return e.replay(ctx, ref, container, s)
		}
		return 0, err
	}
	rec, _ := l.snapshot()
	name, err := containerName(rec.Spec, container)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go l.feed(ctx, name, s)
	number, from := 0, journal.Position{}
	if j, n, done, err := e.openAttempt(rec, l, name, false); err == nil {
		if number = n; j != nil && !replay {
			from.Offset = j.End()
		}
		defer done()
	}
	end, err := l.follower(name, number).run(ctx, from, writeTo(s))
	if err != nil {
		return 0, err
	}
	if err := l.settle(ctx); err != nil {
		return 0, err
	}
	return exit(end, s)
}

// settle waits, once every program has ended, until the record says so too, or is
// removed if that was asked for.
func (l *life) settle(ctx context.Context) error {
	for {
		rec, changed := l.snapshot()
		if !concluding(rec) || rec.Status.Phase.Finished() && (!rec.Run.RemoveAfter || rec.Run.Again) {
			return nil
		}
		select {
		case <-changed:
		case <-l.forgotten:
			return nil
		case <-l.done:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// replay gives the output, if wanted, and the end of an instance that was removed
// at its end.
func (l *life) replay(container string, replay bool, s api.Streams) (int, error) {
	rec, _ := l.snapshot()
	name, err := containerName(rec.Spec, container)
	if err != nil {
		return 0, err
	}
	if numbers := l.logs.attempts(name); replay && len(numbers) > 0 {
		j, _ := l.logs.get(attempt{name, numbers[len(numbers)-1]})
		if err := readAll(j, journal.Position{}, writeTo(s)); err != nil {
			return 0, err
		}
	}
	return exit(deref(status(rec, name)), s)
}

// replay gives the output of an instance that has ended already.
func (e *Engine) replay(ctx context.Context, ref, container string, s api.Streams) (int, error) {
	rec, err := e.find(ctx, ref)
	if err != nil {
		return 0, err
	}
	name, err := containerName(rec.Spec, container)
	if err != nil {
		return 0, err
	}
	err = e.Logs(ctx, ref, api.LogOptions{Container: name, Tail: -1}, writeTo(s))
	if err != nil {
		return 0, err
	}
	return exit(deref(status(*rec, name)), s)
}

// exit is how an attach ends: with the program's exit code, or, for a container
// that never ran, with the cause.
func exit(end api.ContainerStatus, s api.Streams) (int, error) {
	t := end.State.Terminated
	if t == nil {
		return 0, api.Errorf(api.Internal, "container %s has no end on record", end.Name)
	}
	if t.StartedAt.IsZero() && t.Reason != api.ReasonRunError {
		return 0, api.Errorf(api.Unavailable, "container %s did not run: %s: %s", end.Name, t.Reason, t.Message)
	}
	if t.StartedAt.IsZero() && s.Stderr != nil {
		// As a shell would: 126 or 127 and the cause on standard error.
		fmt.Fprintf(s.Stderr, "cis: %s\n", t.Message)
	}
	return t.ExitCode, nil
}

// writeTo sends each piece of output to its stream.
func writeTo(s api.Streams) func(api.LogEntry) error {
	return func(entry api.LogEntry) error {
		w := s.Stdout
		if entry.Stream == journal.Stderr {
			w = s.Stderr
		}
		if w == nil || len(entry.Data) == 0 {
			return nil
		}
		_, err := w.Write(entry.Data)
		return err
	}
}

// feed brings input and terminal sizes to the container's program once it runs.
func (l *life) feed(ctx context.Context, container string, s api.Streams) {
	for {
		rec, changed := l.snapshot()
		_, _, err := l.running(container)
		if st := status(rec, container); st != nil && !startOf(st.State).IsZero() && err == nil {
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		case <-l.done:
			return
		}
	}
	if s.Started != nil {
		s.Started()
	}
	client, _, err := l.running(container)
	if err != nil || s.Stdin == nil && s.Resize == nil {
		return
	}
	_, err = client.Attach(ctx, container, api.Streams{Stdin: s.Stdin, Resize: s.Resize})
	if err != nil && ctx.Err() == nil {
		l.e.log.Debug("attach ended", "instance", l.id, "error", err)
	}
}

// running returns the agent's connection and a container's name, where the
// instance runs.
func (l *life) running(container string) (*agentclient.Client, string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	name, err := containerName(l.rec.Spec, container)
	if err != nil {
		return nil, "", err
	}
	if l.client == nil {
		return nil, "", api.Errorf(api.Conflict, "instance %s does not run yet: it is %s", l.rec.Spec.Name, l.rec.Status.Phase).
			WithNext("wait for it: `cis ps --watch`")
	}
	return l.client, name, nil
}

// reconnect is how long a request waits for the agent of an instance that runs, after
// a restart of cisd or a connection that broke.
const reconnect = 10 * time.Second

// reach is running for requests that can wait a moment.
func (l *life) reach(ctx context.Context, container string) (*agentclient.Client, string, error) {
	ctx, cancel := context.WithTimeout(ctx, reconnect)
	defer cancel()
	for {
		rec, changed := l.snapshot()
		client, name, err := l.running(container)
		if err == nil || rec.Status.Phase != api.PhaseRunning || api.CodeOf(err) != api.Conflict {
			return client, name, err
		}
		select {
		case <-changed:
		case <-l.done:
			return nil, "", err
		case <-ctx.Done():
			return nil, "", err
		}
	}
}

// endShows is how long the end of a run may take to show after its sandbox has gone.
const endShows = 2 * time.Second

// overtaken tells whether a run has ended under a request that failed.
func (l *life) overtaken(ctx context.Context, run int) bool {
	ctx, cancel := context.WithTimeout(ctx, endShows)
	defer cancel()
	for {
		rec, changed := l.snapshot()
		if rec.Run.Number != run || rec.Status.Phase != api.PhaseRunning {
			return true
		}
		select {
		case <-changed:
		case <-l.done:
			return true
		case <-ctx.Done():
			return false
		}
	}
}

// containerName checks a container's name; empty means the first.
func containerName(spec api.InstanceSpec, name string) (string, error) {
	if name == "" {
		return spec.Containers[0].Name, nil
	}
	var all []string
	for _, c := range slices.Concat(spec.Containers, spec.InitContainers) {
		all = append(all, c.Name)
	}
	for _, c := range spec.EphemeralContainers {
		all = append(all, c.Name)
	}
	if slices.Contains(all, name) {
		return name, nil
	}
	e := api.Errorf(api.NotFound, "the instance has no container %q", name)
	e.Field = "container"
	return "", e.WithNext("it has %v", all)
}
