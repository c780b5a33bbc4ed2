package engine

import (
	"context"
	"sync"
	"time"

	"cis/api"
	"cis/internal/agent/agentclient"
	"cis/internal/agent/agentpb"
	"cis/internal/store"
)

// Stats reads what a live instance uses now.
func (e *Engine) Stats(ctx context.Context, ref string) (api.Stats, error) {
	l, err := e.findLive(ctx, ref)
	if err != nil {
		return api.Stats{}, err
	}
	rec, _ := l.snapshot()
	client, _, err := l.reach(ctx, "")
	if err != nil {
		return api.Stats{}, err
	}
	s, err := l.stats(ctx, rec, client)
	if err != nil && l.overtaken(ctx, rec.Run.Number) {
		return s, api.Errorf(api.Conflict, "instance %s does not run: it has just ended", rec.Spec.Name)
	}
	return s, err
}

func (l *life) stats(ctx context.Context, rec store.Instance, client *agentclient.Client) (api.Stats, error) {
	m, err := l.e.machine(rec.Status.Isolation)
	if err != nil {
		return api.Stats{}, err
	}
	usage, err := m.Stats(ctx, rec.Run.Sandbox)
	if err != nil {
		return api.Stats{}, err
	}
	now := time.Now().UTC() // the sandbox may take its time for what comes next
	rx, tx, err := l.e.cfg.Network.Counters(ctx, rec.Run.Sandbox)
	if err != nil {
		return api.Stats{}, err
	}
	inside, err := client.Stats(ctx)
	if err != nil {
		return api.Stats{}, err
	}
	s := api.Stats{ID: rec.ID, Name: rec.Spec.Name, Time: now, CPUSeconds: usage.CPUSeconds, CPULimit: rec.Status.Resources.CPU,
		Memory: usage.Memory, MemoryLimit: rec.Status.Resources.Memory, Pids: inside.Pids, PidsLimit: l.e.cfg.Limits.Pids, RxBytes: rx, TxBytes: tx,
		Containers: containerStats(rec, inside.Containers)}
	began := s.Time
	if rec.Status.StartedAt != nil {
		began = *rec.Status.StartedAt
	}
	l.cpu.add(rec.Run.Sandbox, began, &s)
	return s, nil
}

// containerStats are those of the containers that run on record too.
func containerStats(rec store.Instance, inside []*agentpb.ContainerStats) (all []api.ContainerStats) {
	for _, c := range inside {
		on := status(rec, c.Name)
		if on == nil || on.State.Running == nil {
			continue
		}
		all = append(all, api.ContainerStats{
			Name: c.Name, StartedAt: on.State.Running.StartedAt, CPUSeconds: time.Duration(c.CpuNanoseconds).Seconds(),
			Memory: api.Bytes(c.Memory), MemoryUsage: api.Bytes(c.MemoryUsage), MemoryRSS: api.Bytes(c.MemoryRss), Disk: api.Bytes(c.Disk),
		})
	}
	return all
}

// cpuMeter follows the cpu time of a sandbox and its containers from sample to sample. The
// host counts the sandbox's, gVisor or the guest's kernel the containers'; and these take
// for work what the host lets them wait for. So containers get no more than the sandbox has
// used, each by its part.
type cpuMeter struct {
	mu         sync.Mutex
	sandbox    string // of the samples
	whole      cpuClock
	containers map[string]*cpuClock
}

// rateWindow is the shortest time that a rate is taken of.
const rateWindow = time.Second

// cpuClock is the cpu time of a sandbox or an attempt of a container, in seconds.
type cpuClock struct {
	began time.Time
	read  float64 // as it was counted
	used  float64 // what is told of it
	// The rate is that up to the latest sample that is a window after the one before.
	rate      float64
	markedAt  time.Time
	markedFor float64
}

func newCPUClock(began time.Time) cpuClock { return cpuClock{began: began, markedAt: began} }

// grow takes what was counted, and gives by how much that is more than before.
func (c *cpuClock) grow(read float64) float64 {
	more := max(read-c.read, 0)
	c.read = read
	return more
}

// use adds time that was used up to a moment.
func (c *cpuClock) use(more float64, at time.Time) {
	c.used += more
	if window := at.Sub(c.markedAt); window >= rateWindow {
		c.rate = (c.used - c.markedFor) / window.Seconds()
		c.markedAt, c.markedFor = at, c.used
	}
}

// add takes a sample and completes it.
func (m *cpuMeter) add(sandbox string, began time.Time, s *api.Stats) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sandbox != sandbox {
		m.sandbox, m.whole, m.containers = sandbox, newCPUClock(began), map[string]*cpuClock{}
	}
	room := m.whole.grow(s.CPUSeconds)
	m.whole.use(room, s.Time)
	s.CPU = m.whole.rate

	more, sum := make([]float64, len(s.Containers)), 0.0
	for i, c := range s.Containers {
		clock := m.containers[c.Name]
		if clock == nil || !clock.began.Equal(c.StartedAt) {
			fresh := newCPUClock(c.StartedAt)
			clock = &fresh
			m.containers[c.Name] = clock
		}
		more[i] = clock.grow(c.CPUSeconds)
		sum += more[i]
	}
	part := 1.0
	if sum > room {
		part = room / sum
	}
	for i := range s.Containers {
		c := &s.Containers[i]
		clock := m.containers[c.Name]
		clock.use(more[i]*part, s.Time)
		c.CPUSeconds, c.CPU = clock.used, clock.rate
	}
}
