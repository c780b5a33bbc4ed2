package agent

import (
	"context"
	"encoding/json"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/lifecycle"
)

// Add implements agentpb.AgentService.
func (a *Agent) Add(_ context.Context, req *agentpb.AddRequest) (*agentpb.AddResponse, error) {
	c := new(agentpb.Container)
	if err := json.Unmarshal(req.Container, c); err != nil {
		return nil, agentpb.ToStatus(api.Errorf(api.Invalid, "the container cannot be read: %w", err))
	}
	if err := a.add(c); err != nil {
		return nil, agentpb.ToStatus(err)
	}
	return &agentpb.AddResponse{}, nil
}

// add starts one more container, once.
func (a *Agent) add(c *agentpb.Container) error {
	s, err := a.workload()
	if err != nil {
		return err
	}
	if !validName(c.Name) {
		return api.Errorf(api.Invalid, "container name %q is not a name", c.Name)
	}
	if state, _ := a.board.look(); state.Finished {
		return api.Errorf(api.Conflict, "the workload has finished")
	}
	if s.slots.add(newSlot(s, c)) {
		a.opts.Log.Info("one more container", "name", c.Name)
		s.post(lifecycle.Add{Container: c})
	}
	return nil
}
