package runsc

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// Try implements runtime.Runtime.
func (s *Sandbox) Try(ctx context.Context, udp bool, to netip.AddrPort, wait time.Duration) (result, detail string, err error) {
	result, detail, err = s.errands.Try(ctx, udp, to, wait)
	if err != nil {
		return "", "", fmt.Errorf("try %s: %w", to, err)
	}
	return result, detail, nil
}
