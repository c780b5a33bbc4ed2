package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"cis/api"
)

// StandbyConfig says which sandboxes wait ready for instances.
type StandbyConfig struct {
	Shapes []StandbyShape
	// MaxMemory that the waiting sandboxes may hold in all.
	MaxMemory api.Bytes
	// MinAvailable is the host's available memory below which the pool gives its
	// sandboxes back and makes no new ones.
	MinAvailable api.Bytes
}

// StandbyShape is a size and how many sandboxes of it wait. A sandbox shows its
// programs the size it was made with, so it serves instances of that size only.
type StandbyShape struct {
	CPU    api.CPU
	Memory api.Bytes
	Count  int
}

const (
	// quiet is how long no create may have been under way, and no young instance have
	// changed, before the pool refills, so that these do not share the cores with it.
	quiet = 150 * time.Millisecond
	// youth is how long after its workload was handed over an instance counts for that.
	youth = time.Second
	// pressureCheck is how often the pool looks at the host's memory.
	pressureCheck = 10 * time.Second
	poolRetry     = 5 * time.Second
	// standbyEstimate is what a sandbox to be made is expected to hold.
	standbyEstimate = 64 * api.MiB
	// answerWithin is how long a sandbox may take to answer that waited while cisd was away.
	answerWithin = 10 * time.Second
	// agentMemory is what an agent beside its sandbox holds.
	agentMemory = 12 * api.MiB
)

// pool keeps standby sandboxes: started, with their NIC, without a workload, and
// paused so that they take no cpu. One goroutine (run) makes and drops them, one at
// a time.
type pool struct {
	e   *Engine
	cfg StandbyConfig
	// earlier are those that an earlier cisd made. They are taken in by run.
	earlier []*sandbox

	mu     sync.Mutex
	ready  map[shape][]*sandbox
	stats  map[shape]*poolStats
	busy   int
	calm   time.Time // when busy became 0
	paused string
	wake   chan struct{}
}

type shape struct {
	cpu    api.CPU
	memory api.Bytes
}

type poolStats struct{ hits, misses int64 }

func newPool(e *Engine, cfg StandbyConfig) *pool {
	p := &pool{e: e, cfg: cfg, ready: map[shape][]*sandbox{}, stats: map[shape]*poolStats{}, wake: make(chan struct{}, 1)}
	for _, s := range cfg.Shapes {
		p.stats[shape{s.CPU, s.Memory}] = &poolStats{}
	}
	return p
}

// serves tells whether the pool could have a sandbox for it.
func (p *pool) serves(w want) bool {
	return p.stats[shape{w.cpu, w.memory}] != nil && w.address == "" && w.subnet.ID == defaultSubnet && len(w.volumes) == 0 &&
		(w.iso == p.e.cfg.Default || w.iso == api.IsolationAuto)
}

// take hands a waiting sandbox to an instance, or returns nil.
func (p *pool) take(ctx context.Context, w want) *sandbox {
	if !p.serves(w) {
		return nil
	}
	sb := p.pop(shape{w.cpu, w.memory})
	if sb == nil {
		return nil
	}
	sb.Instance = w.instance
	err := sb.machine.Resume(ctx, sb.ID)
	if err == nil {
		err = p.e.cfg.Store.UpdateSandbox(ctx, sb.ID, w.instance, true)
	}
	if err != nil {
		p.e.log.Error("a standby sandbox cannot be handed out", "sandbox", sb.ID, "error", err)
		p.e.wg.Go(func() { p.e.destroy(sb) })
		return nil
	}
	return sb
}

func (p *pool) pop(s shape) *sandbox {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.nudge()
	for i, sb := range p.ready[s] {
		if !sb.isGone() {
			p.stats[s].hits++
			p.ready[s] = slices.Delete(slices.Clone(p.ready[s]), i, i+1)
			return sb
		}
	}
	p.stats[s].misses++
	return nil
}

// begin and end bracket each create, so that refilling keeps out of its way.
func (p *pool) begin() {
	p.mu.Lock()
	p.busy++
	p.mu.Unlock()
}

func (p *pool) end() {
	p.mu.Lock()
	if p.busy--; p.busy == 0 {
		p.calm = time.Now()
	}
	p.mu.Unlock()
	p.nudge()
}

// hold keeps the pool from refilling for a moment, because an instance has changed that
// was handed its workload at issued.
func (p *pool) hold(issued time.Time) {
	if time.Since(issued) > youth {
		return
	}
	p.mu.Lock()
	p.calm = time.Now()
	p.mu.Unlock()
}

func (p *pool) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run keeps the pool as it should be until ctx ends.
func (p *pool) run(ctx context.Context) {
	for _, sb := range p.earlier {
		p.welcome(ctx, sb)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		case <-timer.C:
		}
		timer.Reset(p.step(ctx))
	}
}

// welcome takes a sandbox in that waited while cisd was away, if it answers.
func (p *pool) welcome(ctx context.Context, sb *sandbox) {
	if err := p.greet(ctx, sb); err == nil {
		p.add(sb)
	} else if ctx.Err() == nil {
		p.e.log.Warn("a standby sandbox of earlier is not used", "sandbox", sb.ID, "error", err)
		p.e.destroy(sb)
	}
}

// greet connects to the agent of a paused sandbox, which stands still with it in a VM.
func (p *pool) greet(ctx context.Context, sb *sandbox) error {
	ctx, cancel := context.WithTimeoutCause(ctx, answerWithin, fmt.Errorf("its agent does not answer within %v", answerWithin))
	defer cancel()
	if err := sb.machine.Resume(ctx, sb.ID); err != nil {
		return err
	}
	if err := p.e.dial(ctx, sb); err != nil {
		return err
	}
	return sb.machine.Pause(ctx, sb.ID)
}

// step does one thing that is due and returns when to look again at the latest.
func (p *pool) step(ctx context.Context) time.Duration {
	if sb := p.excess(); sb != nil {
		p.e.destroy(sb)
		return 0
	}
	missing, wait := p.due()
	if wait > 0 {
		return wait
	}
	sb, err := p.make(ctx, missing)
	if err != nil {
		if ctx.Err() == nil {
			p.e.log.Warn("no standby sandbox could be made", "error", err)
			p.pause("the last one could not be made: " + err.Error())
		}
		return poolRetry
	}
	p.add(sb)
	return 0
}

// due returns the shape of which a sandbox is missing, or how long to wait.
func (p *pool) due() (shape, time.Duration) {
	available := availableMemory()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.cfg.Shapes {
		key := shape{s.CPU, s.Memory}
		if len(p.ready[key]) >= s.Count {
			continue
		}
		if p.busy > 0 {
			return key, pressureCheck // end() wakes it
		}
		if rest := quiet - time.Since(p.calm); rest > 0 {
			return key, rest
		}
		if p.paused = p.refuse(available); p.paused != "" {
			return key, pressureCheck
		}
		return key, 0
	}
	p.paused = ""
	return shape{}, pressureCheck
}

// refuse says why no further sandbox may be made, if so. p.mu is held.
func (p *pool) refuse(available api.Bytes) string {
	held := p.held()
	next := standbyEstimate
	switch {
	case p.cfg.MaxMemory > 0 && held+next > p.cfg.MaxMemory:
		return fmt.Sprintf("it may hold %s and holds %d MiB", p.cfg.MaxMemory, held/api.MiB)
	case available < p.cfg.MinAvailable+next:
		return fmt.Sprintf("the host has %d MiB available", available/api.MiB)
	case p.e.capacity.free() < held+next:
		return "the memory is given to instances"
	}
	return ""
}

// excess removes one sandbox from the pool that must give its memory back.
func (p *pool) excess() *sandbox {
	available := availableMemory()
	p.mu.Lock()
	defer p.mu.Unlock()
	held := p.held()
	if held == 0 || available >= p.cfg.MinAvailable && p.e.capacity.free() >= held {
		return nil
	}
	for key, waiting := range p.ready {
		if n := len(waiting); n > 0 {
			p.ready[key] = waiting[:n-1]
			return waiting[n-1]
		}
	}
	return nil
}

// held is the memory that the waiting ones take. p.mu is held.
func (p *pool) held() (sum api.Bytes) {
	for _, waiting := range p.ready {
		for _, sb := range waiting {
			sum += sb.held
		}
	}
	return sum
}

// make makes one standby sandbox.
func (p *pool) make(ctx context.Context, s shape) (*sandbox, error) {
	w := want{iso: p.e.cfg.Default, cpu: s.cpu, memory: s.memory, hostname: "standby", subnet: p.e.networks.subnetOf("")}
	sb, err := p.e.recordSandbox(ctx, w)
	if err != nil {
		return nil, err
	}
	if err = p.e.attach(ctx, sb); err == nil {
		err = p.e.boot(ctx, sb, w)
	}
	if err == nil {
		err = sb.machine.Pause(ctx, sb.ID)
	}
	if err != nil {
		p.e.destroy(sb)
		return nil, err
	}
	return sb, nil
}

// add puts a ready sandbox in and watches it: one that dies is taken away.
func (p *pool) add(sb *sandbox) {
	if u, err := sb.machine.Stats(p.e.ctx, sb.ID); err == nil {
		sb.held = u.Memory + agentMemory
	}
	p.mu.Lock()
	key := shape{sb.CPU, sb.Memory}
	p.ready[key] = append(p.ready[key], sb)
	p.mu.Unlock()
	p.e.wg.Go(func() {
		p.watch(sb)
		if p.e.ctx.Err() == nil && p.remove(sb) {
			p.e.log.Warn("a standby sandbox died", "sandbox", sb.ID)
			p.e.destroy(sb)
			p.nudge()
		}
	})
}

// watch returns when the sandbox has died, was handed out, or the engine closes.
func (p *pool) watch(sb *sandbox) {
	for s, err := range sb.client.Watch(p.e.ctx, 0) {
		if err != nil || s.Finished || s.WorkloadID != "" {
			return
		}
	}
}

// remove takes that sandbox out, if it still waits.
func (p *pool) remove(sb *sandbox) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := shape{sb.CPU, sb.Memory}
	for i, other := range p.ready[key] {
		if other == sb {
			p.ready[key] = append(p.ready[key][:i:i], p.ready[key][i+1:]...)
			return true
		}
	}
	return false
}

func (p *pool) pause(why string) {
	p.mu.Lock()
	p.paused = why
	p.mu.Unlock()
}

// wanted is how many sandboxes of a size shall wait.
func (p *pool) wanted(size shape) (n int) {
	for _, c := range p.cfg.Shapes {
		if (shape{c.CPU, c.Memory}) == size {
			n += c.Count
		}
	}
	return n
}

func (p *pool) info() []api.StandbyInfo {
	p.mu.Lock()
	defer p.mu.Unlock()
	info := []api.StandbyInfo{}
	for _, s := range p.cfg.Shapes {
		key := shape{s.CPU, s.Memory}
		i := api.StandbyInfo{CPU: s.CPU, Memory: s.Memory, Wanted: s.Count, Ready: len(p.ready[key]),
			Hits: p.stats[key].hits, Misses: p.stats[key].misses, Paused: p.paused}
		for _, sb := range p.ready[key] {
			i.Held += sb.held
		}
		info = append(info, i)
	}
	return info
}
