package agent

import (
	"context"
	"fmt"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/lifecycle"
)

// Resize implements agentpb.AgentService.
func (a *Agent) Resize(ctx context.Context, req *agentpb.ResizeRequest) (*agentpb.ResizeResponse, error) {
	if req.Memory <= 0 {
		return nil, agentpb.ToStatus(api.FieldError("memory", "must be more than %d bytes", req.Memory))
	}
	if _, err := a.workload(); err != nil {
		return nil, agentpb.ToStatus(err)
	}
	if err := a.rt.Resize(ctx, api.Bytes(req.Memory)); err != nil {
		return nil, agentpb.ToStatus(fmt.Errorf("resize: %w", err))
	}
	return &agentpb.ResizeResponse{}, nil
}

// Restart implements agentpb.AgentService.
func (a *Agent) Restart(_ context.Context, req *agentpb.RestartRequest) (*agentpb.RestartResponse, error) {
	s, err := a.workload()
	if err != nil {
		return nil, agentpb.ToStatus(err)
	}
	s.post(lifecycle.Restart{Ref: lifecycle.Ref{Container: req.Container, Attempt: int(req.Attempt)}})
	return &agentpb.RestartResponse{}, nil
}
