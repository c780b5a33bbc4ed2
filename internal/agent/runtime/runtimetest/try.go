package runtimetest

import (
	"net/netip"
	"testing"
	"time"

	"cis/internal/agent/runtime"
)

// Tries checks how tries of localhost's ports end: of one where a program listens, and of
// one where none does.
func Tries(t *testing.T, r runtime.Runtime, open, closed uint16) {
	t.Helper()
	for _, tt := range []struct {
		udp  bool
		port uint16
		want string
	}{{false, open, "connected"}, {false, closed, "refused"}, {true, closed, "refused"}} {
		to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), tt.port)
		if got, detail, err := r.Try(t.Context(), tt.udp, to, 2*time.Second); got != tt.want || err != nil {
			t.Errorf("try of %s (udp %t): %q %q, %v; want %q", to, tt.udp, got, detail, err, tt.want)
		}
	}
}
