package lifecycle

import (
	"strings"
	"time"

	"cis/api"
	"cis/internal/agent/agentpb"
)

const (
	// maxEvents is how many events are kept for callers that are away.
	maxEvents = 256
	// maxMessage bounds an event's or a state's message, in bytes, as in Kubernetes.
	maxMessage = 1024
)

// ring keeps the latest events.
type ring struct {
	events []agentpb.Event
	seq    uint64
}

func (r *ring) add(e agentpb.Event) {
	r.seq++
	e.Seq = r.seq
	if len(r.events) == maxEvents {
		r.events = append(r.events[:0:0], r.events[1:]...)
	}
	r.events = append(r.events, e)
}

func (m *Machine) event(now time.Time, t api.EventType, reason, message string) {
	m.events.add(agentpb.Event{Time: now, Type: t, Reason: reason, Message: short(message)})
}

func (c *container) event(now time.Time, t api.EventType, reason, message string) {
	c.m.events.add(agentpb.Event{
		Time: now, Container: c.spec.Name, Type: t, Reason: reason, Message: short(message),
	})
}

// short bounds a message that a program may have written.
func short(s string) string { return cut(s, maxMessage) }

func cut(s string, n int) string {
	return strings.ToValidUTF8(s[:min(len(s), n)], "�")
}

// State is what to tell of the workload, with all events that are kept. What it
// points to is never changed.
func (m *Machine) State() agentpb.State {
	return agentpb.State{
		WorkloadID: m.w.ID, Finished: m.finished, Reason: m.reason, Message: m.message, SandboxLost: m.lost,
		InitContainers: statuses(m.init), Containers: statuses(m.main), EphemeralContainers: statuses(m.added), Events: m.events.events,
	}
}

func statuses(cs []*container) []agentpb.ContainerStatus {
	var all []agentpb.ContainerStatus
	for _, c := range cs {
		all = append(all, agentpb.ContainerStatus{
			Name: c.spec.Name, State: c.state, LastState: c.last, Ready: c.ready, Started: c.started,
			RestartCount: c.attempt, User: c.user, FirstOutput: c.firstOutput,
		})
	}
	return all
}
