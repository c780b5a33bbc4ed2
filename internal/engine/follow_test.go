package engine

import (
	"testing"
	"time"

	"cis/api"
	"cis/internal/agent/agentpb"
)

// TestStartedAt: a program that ends before anybody looks has started all the same.
func TestStartedAt(t *testing.T) {
	at := time.Now()
	ended := func(at time.Time) api.ContainerState {
		return api.ContainerState{Terminated: &api.StateTerminated{StartedAt: at, ExitCode: 2}}
	}
	waiting := api.ContainerState{Waiting: &api.StateWaiting{Reason: api.ReasonCrashLoopBackOff}}
	for name, test := range map[string]struct {
		status agentpb.ContainerStatus
		want   time.Time
	}{
		"runs":                 {agentpb.ContainerStatus{State: api.ContainerState{Running: &api.StateRunning{StartedAt: at}}, LastState: ended(at.Add(-time.Hour))}, at},
		"has ended":            {agentpb.ContainerStatus{State: ended(at)}, at},
		"waits for its second": {agentpb.ContainerStatus{State: waiting, LastState: ended(at), RestartCount: 1}, at},
		"waits for its first":  {agentpb.ContainerStatus{State: waiting}, time.Time{}},
		"could not be started": {agentpb.ContainerStatus{State: waiting, LastState: ended(time.Time{}), RestartCount: 1}, time.Time{}},
	} {
		if got := startedAt(test.status); !got.Equal(test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
		if first := firstStarted(agentpb.State{Containers: []agentpb.ContainerStatus{test.status}}); (first == nil) != test.want.IsZero() {
			t.Errorf("%s: first to have started: %+v", name, first)
		}
	}
}
