package agent_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"cis/api"
	"cis/internal/agent/agentpb"
)

// healthServer is gRPC's own, which knows the services "up" and "down".
func healthServer(t *testing.T, register bool) (port int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	if register {
		h := health.NewServer()
		h.SetServingStatus("up", grpc_health_v1.HealthCheckResponse_SERVING)
		h.SetServingStatus("down", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
		grpc_health_v1.RegisterHealthServer(s, h)
	}
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return l.Addr().(*net.TCPAddr).Port
}

func TestGRPCProbes(t *testing.T) {
	port, bare, web := healthServer(t, true), healthServer(t, false), site(t, false, nil)
	for name, c := range map[string]struct {
		ask  api.GRPCAction
		want string // in the event; empty: healthy
	}{
		"the server": {api.GRPCAction{Port: port}, ""}, "a service": {api.GRPCAction{Port: port, Service: "up"}, ""},
		"not serving":    {api.GRPCAction{Port: port, Service: "down"}, `service unhealthy (responded with "NOT_SERVING")`},
		"no service":     {api.GRPCAction{Port: port, Service: "none"}, "unknown service"},
		"not the health": {api.GRPCAction{Port: bare}, "does not implement"},
		"no gRPC":        {api.GRPCAction{Port: web}, "Readiness probe failed: "}, "shut": {api.GRPCAction{Port: 1}, "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			con := container("sleep")
			con.ReadinessProbe = &api.Probe{Handler: api.Handler{GRPC: &c.ask}, PeriodSeconds: 60, TimeoutSeconds: 5}
			r.run(api.RestartNever, con)
			s := r.until("an answer", func(s agentpb.State) bool {
				return running(s) && s.Containers[0].Ready || len(s.Events) > 2
			})
			if e := s.Events[len(s.Events)-1]; s.Containers[0].Ready != (c.want == "") || c.want != "" && !strings.Contains(e.Message, c.want) {
				t.Errorf("ready: %v, %+v, want %q", s.Containers[0].Ready, e, c.want)
			}
			r.alone()
		})
	}
}

func TestSleepHook(t *testing.T) {
	r := newRig(t)
	c := container("sleep")
	c.Lifecycle = &api.Lifecycle{PostStart: &api.Handler{Sleep: &api.SleepAction{Seconds: 0}}, PreStop: &api.Handler{Sleep: &api.SleepAction{Seconds: 1}}}
	r.run(api.RestartNever, c)
	r.until("running", func(s agentpb.State) bool { return running(s) && s.Containers[0].Ready })
	began := time.Now()
	r.client.Stop(t.Context(), 10*time.Second, "")
	r.until("the end", finished)
	if took := time.Since(began); took < 900*time.Millisecond || took > 9*time.Second {
		t.Errorf("took %s", took)
	}
}
