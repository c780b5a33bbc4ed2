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
	// Evict ends a pod, which then has failed for that reason.
	Evict(pod *corev1.Pod, message string)
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
	// Tell is given the node's conditions that hold, whenever it has looked.
	Tell func(map[corev1.NodeConditionType]bool)
	Log  *slog.Logger
}

// Manager looks after one node.
type Manager struct {
	Config
	// last is when a condition was seen.
	last map[corev1.NodeConditionType]time.Time
}

// New makes a manager; Run has it look.
func New(c Config) *Manager {
	return &Manager{Config: c, last: map[corev1.NodeConditionType]time.Time{}}
}

const (
	// period is how often it looks.
	period = 10 * time.Second
	// patience is how long it waits for an evicted pod's end.
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
	short := Met(m.Thresholds, info.HostUsage)
	m.Tell(m.conditions(short, time.Now()))
	for _, s := range short {
		ranked := Rank(s, m.candidates(ctx))
		if len(ranked) == 0 {
			continue
		}
		first := ranked[0]
		message := Message(s, first)
		m.Log.Warn("a pod is evicted", "namespace", first.Pod.Namespace, "pod", first.Pod.Name, "because", message)
		m.Pods.Evict(first.Pod, message)
		return first.Pod, nil
	}
	return nil, nil
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
	for end := time.Now().Add(patience); time.Now().Before(end); {
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
