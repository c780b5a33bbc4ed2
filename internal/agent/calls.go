package agent

import (
	"context"
	"net/netip"
	"syscall"
	"time"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/stream"
)

// The streaming calls: each reads its request and hands over to its own file.

// Watch implements agentpb.AgentService.
func (a *Agent) Watch(ctx context.Context, c agentpb.Agent_WatchServer) error {
	return stream.Serve(ctx, c, func(ctx context.Context, s *stream.Stream) (int, error) {
		return 0, withRequest(s, func(req agentpb.WatchRequest) error { return a.watch(ctx, s, req) })
	})
}

// Logs implements agentpb.AgentService.
func (a *Agent) Logs(ctx context.Context, c agentpb.Agent_LogsServer) error {
	return stream.Serve(ctx, c, func(ctx context.Context, s *stream.Stream) (int, error) {
		return 0, withRequest(s, func(req agentpb.LogsRequest) error { return a.logs(ctx, s, req) })
	})
}

// Exec implements agentpb.AgentService.
func (a *Agent) Exec(ctx context.Context, c agentpb.Agent_ExecServer) error {
	return stream.Serve(ctx, c, func(ctx context.Context, s *stream.Stream) (code int, err error) {
		err = withRequest(s, func(req agentpb.ExecStart) (err error) {
			code, err = a.exec(ctx, s, &req)
			return err
		})
		return code, err
	})
}

// Attach implements agentpb.AgentService.
func (a *Agent) Attach(ctx context.Context, c agentpb.Agent_AttachServer) error {
	return stream.Serve(ctx, c, func(ctx context.Context, s *stream.Stream) (code int, err error) {
		err = withRequest(s, func(req agentpb.ExecStart) (err error) {
			code, err = a.attach(ctx, s, &req)
			return err
		})
		return code, err
	})
}

// PortForward implements agentpb.AgentService.
func (a *Agent) PortForward(ctx context.Context, c agentpb.Agent_PortForwardServer) error {
	return stream.Serve(ctx, c, func(ctx context.Context, s *stream.Stream) (int, error) {
		return 0, withRequest(s, func(req agentpb.PortRequest) error { return a.forward(ctx, s, req.Port) })
	})
}

// CopyOut implements agentpb.AgentService.
func (a *Agent) CopyOut(ctx context.Context, c agentpb.Agent_CopyOutServer) error {
	return stream.Serve(ctx, c, func(ctx context.Context, s *stream.Stream) (int, error) {
		return 0, withRequest(s, func(req agentpb.CopyRequest) error { return a.copyOut(ctx, s, req) })
	})
}

// CopyIn implements agentpb.AgentService.
func (a *Agent) CopyIn(ctx context.Context, c agentpb.Agent_CopyInServer) error {
	return stream.Serve(ctx, c, func(ctx context.Context, s *stream.Stream) (int, error) {
		return 0, withRequest(s, func(req agentpb.CopyRequest) error { return a.copyIn(ctx, s, req) })
	})
}

func withRequest[R any](s *stream.Stream, call func(R) error) error {
	var req R
	if err := s.Request(&req); err != nil {
		return err
	}
	return call(req)
}

// Signal implements agentpb.AgentService.
func (a *Agent) Signal(ctx context.Context, req *agentpb.SignalRequest) (*agentpb.SignalResponse, error) {
	if err := a.signal(ctx, req.Container, int(req.Signal)); err != nil {
		return nil, agentpb.ToStatus(err)
	}
	return &agentpb.SignalResponse{}, nil
}

func (a *Agent) signal(ctx context.Context, container string, n int) error {
	if n < 1 || n > 64 {
		return api.Errorf(api.Invalid, "%d is not a signal", n).WithNext("Signals are 1 to 64.")
	}
	sup, err := a.workload()
	if err != nil {
		return err
	}
	targets := []string{container}
	if container == "" {
		targets = nil
		targets = sup.slots.names()
	}
	reached := false
	for _, name := range targets {
		at, err := a.runningNow(name)
		if err != nil {
			if container != "" {
				return err
			}
			continue
		}
		if n == int(syscall.SIGKILL) {
			at.doomed.Store(true)
		}
		if err := at.process.Signal(ctx, n, false); err != nil && at.alive.Err() == nil {
			return err
		}
		reached = true
	}
	if !reached {
		return api.Errorf(api.Conflict, "no container is running")
	}
	return nil
}

// Try implements agentpb.AgentService.
func (a *Agent) Try(ctx context.Context, req *agentpb.TryRequest) (*agentpb.TryResponse, error) {
	to, err := netip.ParseAddrPort(req.To)
	if err != nil {
		return nil, agentpb.ToStatus(api.FieldError("to", "%q is not ADDRESS:PORT", req.To))
	}
	result, detail, err := a.rt.Try(ctx, req.Udp, to, time.Duration(req.WaitMilliseconds)*time.Millisecond)
	if err != nil {
		return nil, agentpb.ToStatus(err)
	}
	return &agentpb.TryResponse{Result: result, Detail: detail}, nil
}

// Stats implements agentpb.AgentService.
func (a *Agent) Stats(ctx context.Context, _ *agentpb.StatsRequest) (*agentpb.StatsResponse, error) {
	r, err := a.rt.Stats(ctx)
	return r, agentpb.ToStatus(err)
}
