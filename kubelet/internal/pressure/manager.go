package pressure

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"cis/api"
)

// Pods are those of the node.
type Pods interface {
	Pods() []*corev1.Pod
	Instance(pod *corev1.Pod) (api.Instance, bool)
	// Evict ends a pod, which then has failed for that reason. Its programs have the grace.
	Evict(pod *corev1.Pod, message string, grace time.Duration)
}

// Config of a manager.
type Config struct {
	// Info and Stats ask cis.
	Info       func(context.Context) (api.Info, error)
	Stats      func(ctx context.Context, ref string) (api.Stats, error)
	Pods       Pods
	Thresholds []Threshold
	// Transition is for how long the node tells of a shortage that has passed.
	Transition time.Duration
	// MaxGrace bounds that of pods which go for a soft threshold.
	MaxGrace time.Duration
	// Tell is given the node's conditions that hold, whenever it has looked.
	Tell func(map[corev1.NodeConditionType]bool)
	Log  *slog.Logger
}

// Manager looks after one node.
type Manager struct {
	Config
	// last is when a condition was seen.
	last map[corev1.NodeConditionType]time.Time
	// since is from when on each threshold was missed.
	since map[Threshold]time.Time
}

// New makes a manager; Run has it look.
func New(c Config) *Manager {
	return &Manager{Config: c, last: map[corev1.NodeConditionType]time.Time{}, since: map[Threshold]time.Time{}}
}

const (
	// period is how often it looks.
	period = 10 * time.Second
	// patience is how long it waits for an evicted pod's end, beside its grace.
	patience = 30 * time.Second
)

// Run looks until ctx ends, again at once after a pod was evicted.
func (m *Manager) Run(ctx context.Context) {
	for ctx.Err() == nil {
		pod, err := m.look(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			m.Log.Warn("whether the node runs short is not known", "error", err)
		case pod != nil && m.gone(ctx, pod):
			continue
		}
		select {
		case <-time.After(period):
		case <-ctx.Done():
		}
	}
}

// look tells the conditions, and gives the pod that it has evicted.
func (m *Manager) look(ctx context.Context) (*corev1.Pod, error) {
	info, err := m.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask cis: %w", err)
	}
	now, short := time.Now(), Met(m.Thresholds, info.HostUsage)
	m.Tell(m.conditions(short, now))
	for _, s := range m.due(short, now) {
		ranked := Rank(s, m.candidates(ctx))
		if len(ranked) == 0 {
			continue
		}
		first := ranked[0]
		message := Message(s, first)
		m.Log.Warn("a pod is evicted", "namespace", first.Pod.Namespace, "pod", first.Pod.Name, "because", message)
		m.Pods.Evict(first.Pod, message, m.grace(s, first.Pod))
		return first.Pod, nil
	}
	return nil, nil
}

// due are the shortages that have lasted for as long as they may.
func (m *Manager) due(short []Shortage, now time.Time) (due []Shortage) {
	since := map[Threshold]time.Time{}
	for _, s := range short {
		since[s.Threshold] = now
		if first, ok := m.since[s.Threshold]; ok {
			since[s.Threshold] = first
		}
		if now.Sub(since[s.Threshold]) >= s.grace {
			due = append(due, s)
		}
	}
	m.since = since
	return due
}

// atOnce is what a kubelet leaves to pods when something has run out.
const atOnce = time.Second

// grace is what a pod has to end: its own where there is time, at most MaxGrace.
func (m *Manager) grace(s Shortage, pod *corev1.Pod) time.Duration {
	if !s.soft {
		return atOnce
	}
	grace := m.MaxGrace
	if own := pod.Spec.TerminationGracePeriodSeconds; own != nil {
		grace = min(grace, time.Duration(*own)*time.Second)
	}
	return max(grace, atOnce)
}

// conditions are those of now, and those that have not been away for long.
func (m *Manager) conditions(short []Shortage, now time.Time) map[corev1.NodeConditionType]bool {
	for _, s := range short {
		m.last[s.Condition()] = now
	}
	holds := map[corev1.NodeConditionType]bool{}
	for c, at := range m.last {
		holds[c] = at.Equal(now) || now.Sub(at) < m.Transition
	}
	return holds
}

// parallel is how many instances are asked about at once.
const parallel = 8

// candidates are the pods that run and whose use is known.
func (m *Manager) candidates(ctx context.Context) (all []Candidate) {
	var mu sync.Mutex
	var asked sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for _, pod := range m.Pods.Pods() {
		in, ok := m.Pods.Instance(pod)
		if !ok || in.Status.Phase != api.PhaseRunning || pod.DeletionTimestamp != nil {
			continue
		}
		slots <- struct{}{}
		asked.Go(func() {
			defer func() { <-slots }()
			if s, err := m.Stats(ctx, in.ID); err == nil {
				mu.Lock()
				defer mu.Unlock()
				all = append(all, Candidate{pod, s})
			}
		})
	}
	asked.Wait()
	return all
}

// gone waits for the end of an evicted pod.
func (m *Manager) gone(ctx context.Context, pod *corev1.Pod) bool {
	for end := time.Now().Add(patience + m.MaxGrace); time.Now().Before(end); {
		if in, ok := m.Pods.Instance(pod); !ok || in.Status.Phase.Finished() {
			return true
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return false
		}
	}
	return false
}
