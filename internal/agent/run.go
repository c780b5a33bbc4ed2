package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/lifecycle"
)

// Run implements agentpb.AgentService.
func (a *Agent) Run(_ context.Context, req *agentpb.RunRequest) (*agentpb.RunResponse, error) {
	w := new(agentpb.Workload)
	if err := json.Unmarshal(req.Workload, w); err != nil {
		return nil, agentpb.ToStatus(api.Errorf(api.Invalid, "the workload cannot be read: %w", err))
	}
	if err := a.run(w); err != nil {
		return nil, agentpb.ToStatus(err)
	}
	return &agentpb.RunResponse{}, nil
}

// run prepares the sandbox for a workload and starts it. It does not end with the
// caller: one that comes back must find it done or not begun.
func (a *Agent) run(w *agentpb.Workload) error {
	if err := check(w); err != nil {
		return err
	}
	a.running.Lock()
	defer a.running.Unlock()
	if s := a.supervisor(); s != nil {
		if s.w.ID == w.ID {
			return nil
		}
		return api.Errorf(api.Conflict, "the sandbox runs workload %s already", s.w.ID)
	}
	select {
	case <-a.rt.Lost():
		return api.Errorf(api.Unavailable, "the sandbox has died: %s", a.rt.Cause().Message)
	default:
	}
	if err := a.rt.Prepare(a.ctx, w); err != nil {
		return fmt.Errorf("prepare the sandbox: %w", err)
	}
	s := newSupervisor(a, w)
	s.step(lifecycle.Begin{})
	a.mu.Lock()
	a.sup = s
	a.mu.Unlock()
	go s.loop()
	a.opts.Log.Info("workload", "id", w.ID, "containers", len(w.Containers), "init", len(w.InitContainers))
	return nil
}

// check refuses what the supervision cannot work with.
func check(w *agentpb.Workload) error {
	if w.ID == "" || len(w.Containers) == 0 {
		return api.Errorf(api.Invalid, "a workload needs an ID and a container")
	}
	seen := map[string]bool{}
	for _, cs := range [][]agentpb.Container{w.InitContainers, w.Containers} {
		for _, c := range cs {
			if !validName(c.Name) || seen[c.Name] {
				return api.Errorf(api.Invalid, "container name %q is taken or not a name", c.Name)
			}
			seen[c.Name] = true
		}
	}
	return nil
}

// validName keeps container names from being paths.
func validName(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 63
}

// Stop implements agentpb.AgentService.
func (a *Agent) Stop(_ context.Context, req *agentpb.StopRequest) (*agentpb.StopResponse, error) {
	s, err := a.workload()
	if err != nil {
		return nil, agentpb.ToStatus(err)
	}
	s.post(lifecycle.Stop{
		Grace:   time.Duration(req.GraceMilliseconds) * time.Millisecond,
		Message: req.Message,
	})
	return &agentpb.StopResponse{}, nil
}

// workload is the supervisor, of an agent that has one.
func (a *Agent) workload() (*supervisor, error) {
	if s := a.supervisor(); s != nil {
		return s, nil
	}
	return nil, api.Errorf(api.Conflict, "the sandbox has no workload yet").WithNext("Try again when the instance runs.")
}
