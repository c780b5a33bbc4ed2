package agent

import (
	"context"
	"fmt"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/fileset"
)

// SetFiles implements agentpb.AgentService. It does not end with the caller: the files are
// there as a whole, or not at all.
func (a *Agent) SetFiles(_ context.Context, req *agentpb.SetFilesRequest) (*agentpb.SetFilesResponse, error) {
	if !validName(req.Volume) {
		return nil, agentpb.ToStatus(api.Errorf(api.Invalid, "%q is not the name of a volume", req.Volume))
	}
	files := make([]fileset.File, len(req.Files))
	for i, f := range req.Files {
		files[i] = fileset.File{Path: f.Path, Mode: f.Mode, Group: f.Group, Data: f.Data}
	}
	a.putting.Lock()
	defer a.putting.Unlock()
	if err := a.rt.SetFiles(a.ctx, req.Volume, files); err != nil {
		return nil, agentpb.ToStatus(fmt.Errorf("put the files of volume %s: %w", req.Volume, err))
	}
	return &agentpb.SetFilesResponse{}, nil
}
