package network

import (
	"context"
	"fmt"

	"cis/api"
)

// Counters tells how many bytes a NIC has received and sent since it was made, as
// the instance sees it.
func (m *Manager) Counters(_ context.Context, nicID string) (rx, tx int64, err error) {
	m.life.RLock()
	defer m.life.RUnlock()
	n := m.known(nicID)
	if n == nil {
		return 0, 0, api.Errorf(api.NotFound, "there is no NIC %s", nicID)
	}
	outer, err := findLink(m.vpcs[n.VPC].space.route, outerName(m.cfg.Prefix, nicID))
	if err == nil && outer == nil {
		err = api.Errorf(api.NotFound, "the link of NIC %s is gone", nicID)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("count the bytes of NIC %s: %w", nicID, err)
	}
	// The outer end receives what the instance sends.
	s := outer.Attrs().Statistics
	return int64(s.TxBytes), int64(s.RxBytes), nil
}
