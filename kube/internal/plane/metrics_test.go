package plane

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// announced is a Bootstrap that tells where metrics-server was when objects were made.
type announced struct {
	objects
	at chan netip.AddrPort
}

func (a announced) Ensure(_ context.Context, p *Plane) error {
	a.at <- p.MetricsEndpoint()
	return nil
}

// TestMetricsServer: nobody waits for it, and its objects are made once it is ready.
func TestMetricsServer(t *testing.T) {
	c := testConfig(t)
	c.Metrics = NodeAddress()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b := announced{at: make(chan netip.AddrPort, 2)}
	result := make(chan error, 1)
	go func() { result <- Run(ctx, c, b, quiet) }()
	for i, want := range []bool{false, true} {
		select {
		case at := <-b.at:
			if at.IsValid() != want || want && at.Addr() != c.Metrics {
				t.Errorf("objects %d: metrics-server at %v", i, at)
			}
			if !want {
				continue
			}
			if conn, err := net.Dial("tcp", at.String()); err != nil {
				t.Error(err)
			} else {
				conn.Close()
			}
		case err := <-result:
			t.Fatalf("Run: %v", err)
		case <-time.After(30 * time.Second):
			t.Fatal("the objects are not made")
		}
	}
	cancel()
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	if j := journal(t, c); !slices.Contains(j, "+"+MetricsServer) || !slices.Contains(j, "-"+MetricsServer) {
		t.Errorf("order %v", j)
	}
}
