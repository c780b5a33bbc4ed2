package engine

import (
	"context"
	"fmt"

	"cis/api"
)

// Flows tells who talked to whom in a VPC, and what was dropped.
func (e *Engine) Flows(ctx context.Context, ref string) ([]api.Flow, error) {
	v, err := e.VPC(ctx, ref)
	if err != nil {
		return nil, err
	}
	flows, err := e.cfg.Network.Flows(ctx, networkID(v))
	if err != nil {
		return nil, fmt.Errorf("read the flows of VPC %s: %w", v.Name, err)
	}
	owners := e.networks.owners(v.ID)
	var all []api.Flow
	for _, f := range flows {
		all = append(all, api.Flow{
			Source: f.Source.String(), SourceInstance: owners[f.Source],
			Destination: f.Destination.String(), DestinationInstance: owners[f.Destination],
			Protocol: f.Protocol.String(), Port: int(f.Port), Allowed: f.Allowed, Connections: int64(f.Connections), LastSeen: f.LastSeen.UTC(),
		})
	}
	return all, nil
}
