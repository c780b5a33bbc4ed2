package agent

import (
	"context"
	"fmt"

	"cis/api"
	"cis/internal/agent/agentpb"
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
