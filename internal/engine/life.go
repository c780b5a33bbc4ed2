package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"cis/api"
	"cis/internal/agent/agentclient"
	"cis/internal/image"
	"cis/internal/store"
)

// life takes one instance from where its record says it is to its end, in one
// goroutine (run). Other goroutines read its record and ask it to stop.
type life struct {
	e  *Engine
	id string
	// arrived is when the request came, for the timings.
	arrived time.Time

	mu  sync.Mutex
	rec store.Instance
	// changed is closed, and replaced, whenever the record or the client changes.
	changed chan struct{}
	// client is open while an agent answers.
	client *agentclient.Client
	logs   *logs
	files  secretFiles
	// stop is closed when a stop was asked for; a new run gets a new one.
	stop chan struct{}

	// held is what the capacity counts for the instance until its end; made is the size that
	// its sandbox was made with. mu guards both.
	held demand
	made api.ResourceList

	// adding is held while one more container, or another size, is given to the sandbox.
	adding sync.Mutex
	cpu    cpuMeter

	// Only run uses these. issued is when the agent was given the workload.
	issued time.Time
	// seen is when the programs were last seen running, by who follows them.
	seen    time.Time
	sandbox *sandbox
	// leases are the images by container; adding guards them while containers are added.
	leases map[string]*image.Lease
	// forgotten is closed when the record was removed at the end.
	forgotten chan struct{}
	// done is closed when the goroutine has ended.
	done chan struct{}
	// parts: the record is gone, so at the end goes what it uses of the network;
	// guarded by e.mu.
	parts bool
}

// errStopped: a stop was asked for before the programs ran.
var errStopped = errors.New("stopped before it ran")

// begin makes the life of a recorded instance, with the images and the sandbox (or
// nil) that it has already, and starts it.
func (e *Engine) begin(rec store.Instance, arrived time.Time, leases map[string]*image.Lease, sb *sandbox) {
	l := &life{
		e: e, id: rec.ID, arrived: arrived, rec: rec, changed: make(chan struct{}),
		stop: make(chan struct{}), leases: leases, sandbox: sb, forgotten: make(chan struct{}), done: make(chan struct{}),
		logs: e.openLogs(rec),
	}
	if sb != nil {
		l.made = sb.size()
	}
	l.held = e.heldBy(&l.rec)
	if rec.Run.Stop {
		close(l.stop)
	}
	e.mu.Lock()
	e.lives[rec.ID] = l
	e.mu.Unlock()
	e.wg.Go(l.run)
}

// run lives the instance to its end. The record says so before the sandbox is taken
// away: who waits for the program need not wait for that. When the engine closes,
// everything is left as it is, for the next start to go on.
func (l *life) run() {
	defer close(l.done)
	defer l.retire()
	for {
		err := l.once()
		if l.e.ctx.Err() != nil {
			return
		}
		if wait, again := l.again(err); again {
			l.release()
			if l.pause(wait) {
				continue
			}
			if l.e.ctx.Err() != nil {
				return
			}
			err = errStopped
		}
		l.finish(err)
		forgotten := l.conclude()
		l.release()
		l.letGo()
		if l.rerun() {
			continue
		}
		l.letCapacityGo()
		l.e.networks.freePorts(l.id)
		l.e.disks.giveBack(diskUser{instance: l.id})
		if forgotten != nil {
			l.forgetLater(forgotten)
		}
		return
	}
}

// once makes what is missing of a sandbox with the workload in it, and follows
// that until it has finished or the sandbox is lost.
func (l *life) once() error {
	begin := l.start
	if l.sandbox != nil {
		begin = l.resume
	}
	if err := begin(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(l.e.ctx)
	var adding sync.WaitGroup
	adding.Go(func() { l.addContainers(ctx) })
	adding.Go(func() { l.fit(ctx) })
	defer adding.Wait()
	defer cancel()
	return l.follow(l.e.ctx)
}

// untilStop returns a context that also ends when a stop is asked for.
func (l *life) untilStop() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(l.e.ctx)
	stop := l.stopped()
	unhook := make(chan struct{})
	go func() {
		select {
		case <-stop:
			cancel()
		case <-unhook:
		}
	}()
	return ctx, sync.OnceFunc(func() { close(unhook); cancel() })
}

func (l *life) stopped() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stop
}

func (l *life) stopping() bool {
	select {
	case <-l.stopped():
		return true
	default:
		return false
	}
}

// pause waits, unless a stop or the engine's end comes first (then false).
func (l *life) pause(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-l.stopped():
		return false
	case <-l.e.ctx.Done():
		return false
	}
}

// snapshot returns the record as it is now, and what is closed when it changes.
func (l *life) snapshot() (store.Instance, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rec, l.changed
}

// update changes the record, writes it down and tells the watchers. Slices and
// pointers of the record are replaced, never changed in place: others hold them.
func (l *life) update(durable bool, fn func(*store.Instance)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := l.rec
	fn(&next)
	return l.write(&next, durable)
}

// write records the next state and takes it over; l.mu is held.
func (l *life) write(next *store.Instance, durable bool) error {
	now := time.Now().UTC()
	next.Run.Clock = next.Run.Clock.Bind(next.Status.PublicAddress != "", now).Resize(next.Status.Resources, now)
	return l.e.cfg.Store.UpdateInstance(l.e.ctx, next, durable, func() {
		l.become(next)
		l.e.publish(api.WatchModified, next.Instance)
	})
}

// set is update for changes that the next start would find again by itself; a
// failure to write is logged.
func (l *life) set(fn func(*store.Instance)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := l.rec
	fn(&next)
	if err := l.write(&next, false); err != nil {
		// The next write has it: each carries the whole record.
		l.e.log.Error("the record cannot be written", "instance", l.id, "error", err)
		next.Revision = l.rec.Revision
		l.become(&next)
	}
}

// become takes the next state over; l.mu is held.
func (l *life) become(next *store.Instance) {
	l.rec = *next
	if !next.Status.Phase.Finished() {
		l.count(l.e.heldBy(next))
	}
	l.wake()
}

// wake lets waiters look again; l.mu is held.
func (l *life) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// setClient shows the agent's connection to exec, attach and the like.
func (l *life) setClient(c *agentclient.Client) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.client = c
	l.wake()
	if c != nil && l.files.stale.Load() {
		l.e.wg.Go(l.refreshFiles)
	}
}

// event records a step of the instance.
func (l *life) event(kind api.EventType, container, reason, message string) {
	l.eventAt(time.Now().UTC(), kind, container, reason, message)
}

func (l *life) eventAt(at time.Time, kind api.EventType, container, reason, message string) {
	rec, _ := l.snapshot()
	l.e.record(api.Event{Account: rec.Account, InstanceID: l.id, Instance: rec.Spec.Name, Container: container,
		Type: kind, Reason: reason, Message: message, LastSeen: at})
}

// release takes the sandbox away.
func (l *life) release() {
	l.setClient(nil)
	if l.sandbox != nil {
		l.e.destroy(l.sandbox)
		l.sandbox = nil
	}
	l.forgetSandbox()
}

// letGo gives the images back at the end of a run.
func (l *life) letGo() {
	for name, lease := range l.leases {
		lease.Release()
		delete(l.leases, name)
	}
}

// forgetSandbox records that the instance has none, if it is still on record.
func (l *life) forgetSandbox() {
	select {
	case <-l.forgotten:
	default:
		if rec, _ := l.snapshot(); rec.Run.Sandbox != "" {
			l.set(withoutSandbox)
		}
	}
}

// withoutSandbox makes the record that of an instance which has none.
func withoutSandbox(in *store.Instance) {
	in.Run.Sandbox, in.Run.AgentEvent, in.Run.Clock = "", 0, nil
	in.Run.Resize, in.Run.Restarts = false, nil
	in.Status.Resources, in.Status.ResizeMessage = api.ResourceList{}, ""
}

// openLogs opens the journals of the record's run, and drops those of runs too old.
func (e *Engine) openLogs(rec store.Instance) *logs {
	dir := e.logDir(rec.ID)
	if err := pruneLogs(dir, rec.Run.Number); err != nil {
		e.log.Warn("old logs cannot be removed", "instance", rec.ID, "error", err)
	}
	return openLogs(dir, rec.Run.Number)
}

// retire takes the life off the engine's list; a finished instance is read from
// the record.
func (l *life) retire() {
	l.logs.end()
	l.logs.close()
	l.e.mu.Lock()
	delete(l.e.lives, l.id)
	parts := l.parts
	l.e.mu.Unlock()
	if parts {
		rec, _ := l.snapshot()
		l.e.part(l.e.ctx, l.id, rec.Status.Address)
	}
}
