package agent

import (
	"encoding/json"
	"slices"
	"sync"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/runtime"
)

// board shows the latest state to any number of watchers. It holds that one only,
// so a slow watcher costs nothing and misses nothing but states in between.
type board struct {
	mu      sync.Mutex
	state   agentpb.State
	digest  string
	changed chan struct{} // closed at the next change
}

func newBoard() *board { return &board{changed: make(chan struct{})} }

// publish shows a state, if it differs from the one shown. The caller does not
// change what it points to afterwards.
func (b *board) publish(s agentpb.State) {
	digest := digestOf(s)
	b.mu.Lock()
	defer b.mu.Unlock()
	if digest == b.digest {
		return
	}
	b.state, b.digest = s, digest
	close(b.changed)
	b.changed = make(chan struct{})
}

// digestOf is equal for states that are. Of the events the last number tells.
func digestOf(s agentpb.State) string {
	if n := len(s.Events); n > 0 {
		s.Events = []agentpb.Event{{Seq: s.Events[n-1].Seq}}
	}
	text, _ := json.Marshal(s) // of a type that always can be
	return string(text)
}

// look returns the state, and what is closed when there is a newer one.
func (b *board) look() (agentpb.State, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state, b.changed
}

// status finds a container in a state.
func status(s agentpb.State, container string) (agentpb.ContainerStatus, bool) {
	for _, c := range slices.Concat(s.InitContainers, s.Containers, s.EphemeralContainers) {
		if c.Name == container {
			return c, true
		}
	}
	return agentpb.ContainerStatus{}, false
}

// lostIdle is the state of an agent whose sandbox died before it had a workload.
func lostIdle(l runtime.Loss) agentpb.State {
	reason := api.ReasonSandboxLost
	if l.OOMKilled {
		reason = api.ReasonOOMKilled
	}
	return agentpb.State{Finished: true, SandboxLost: true, Reason: reason, Message: l.Message}
}
