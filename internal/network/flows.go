package network

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
)

// Flow is who wanted to talk to whom in a VPC, and whether the rules let it.
type Flow struct {
	Source, Destination netip.Addr
	Protocol            Protocol
	Port                uint16 // the destination's; 0 of protocols without ports
	Allowed             bool
	// Connections is how many began; of those that were refused, how often it was tried.
	Connections uint64
	// LastSeen is when the last of them began.
	LastSeen time.Time
}

// Flows returns who wanted to talk to whom in a VPC within the last hour, the last
// first. The kernel keeps up to 8192 flows of each family that were allowed, and as many
// that were refused; while it has no room, others are not noted. An established
// connection is noted when it begins only.
func (m *Manager) Flows(ctx context.Context, vpcID string) ([]Flow, error) {
	m.life.RLock()
	defer m.life.RUnlock()
	v, err := m.vpc(vpcID)
	if err == nil {
		err = ctx.Err()
	}
	var flows []Flow
	if err == nil {
		flows, err = v.flows(time.Now())
	}
	if err != nil {
		return nil, fmt.Errorf("list flows of VPC %s: %w", vpcID, err)
	}
	return flows, nil
}

func (v *vpc) flows(now time.Time) (flows []Flow, err error) {
	for _, f := range []family{ip4, ip6} {
		for _, allowed := range []bool{true, false} {
			elements, err := v.rules.listWhole(v.table, flowsSet(allowed, f))
			if err != nil {
				return nil, err
			}
			for _, e := range elements {
				flows = append(flows, flowOf(e, f, allowed, now))
			}
		}
	}
	slices.SortFunc(flows, func(a, b Flow) int { return b.LastSeen.Compare(a.LastSeen) })
	return flows, nil
}

func flowOf(e nftables.SetElement, f family, allowed bool, now time.Time) Flow {
	size := int(f.address.Bytes)
	source, _ := netip.AddrFromSlice(e.Key[:size])
	destination, _ := netip.AddrFromSlice(e.Key[size : 2*size])
	rest := e.Key[2*size:]
	flow := Flow{
		Source: source, Destination: destination, Protocol: Protocol(rest[0]), Port: binary.BigEndian.Uint16(rest[4:]), Allowed: allowed,
		// Each connection gives the element its whole time again.
		LastSeen: now.Add(e.Expires - cmp.Or(e.Timeout, flowTime)),
	}
	if e.Counter != nil {
		flow.Connections = e.Counter.Packets
	}
	return flow
}
