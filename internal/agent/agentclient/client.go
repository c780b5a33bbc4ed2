// Package agentclient is the engine's side of an agent: one connection, any number
// of calls at once. Every call ends, on both sides, with its context.
//
// It never retries and never reconnects: after Unavailable the caller dials anew.
// Errors are *api.Error, or the context's.
package agentclient

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"time"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/fileset"
	"cis/internal/agent/stream"
	"cis/internal/journal"

	"github.com/containerd/ttrpc"
)

// Client is a connection to an agent.
type Client struct {
	conn *ttrpc.Client
	pb   agentpb.AgentClient
	done chan struct{}
}

// New makes a client of a connection, and owns it from then on.
func New(conn net.Conn) *Client {
	done := make(chan struct{})
	c := ttrpc.NewClient(conn, ttrpc.WithOnClose(func() { close(done) }))
	return &Client{conn: c, pb: agentpb.NewAgentClient(c), done: done}
}

// Done is closed when the connection has ended.
func (c *Client) Done() <-chan struct{} { return c.done }

// Close ends the connection and all its calls.
func (c *Client) Close() error { return c.conn.Close() }

// Run starts the workload. It returns when the containers are about to start.
func (c *Client) Run(ctx context.Context, w *agentpb.Workload) error {
	text, err := json.Marshal(w)
	if err != nil {
		return fmt.Errorf("run workload: %w", err)
	}
	_, err = c.pb.Run(ctx, &agentpb.RunRequest{Workload: text})
	return agentpb.FromStatus(err)
}

// Add starts one more container, unless it was added already.
func (c *Client) Add(ctx context.Context, container *agentpb.Container) error {
	text, err := json.Marshal(container)
	if err != nil {
		return fmt.Errorf("add container: %w", err)
	}
	_, err = c.pb.Add(ctx, &agentpb.AddRequest{Container: text})
	return agentpb.FromStatus(err)
}

// Resize changes how much memory the workload may use, in bytes.
func (c *Client) Resize(ctx context.Context, memory api.Bytes) error {
	_, err := c.pb.Resize(ctx, &agentpb.ResizeRequest{Memory: int64(memory)})
	return agentpb.FromStatus(err)
}

// Restart ends an attempt of a container and starts the next one.
func (c *Client) Restart(ctx context.Context, container string, attempt int) error {
	_, err := c.pb.Restart(ctx, &agentpb.RestartRequest{Container: container, Attempt: int32(attempt)})
	return agentpb.FromStatus(err)
}

// SetFiles makes the files all that a volume with Files shows, at once for its readers: before
// Run, and whenever they change. At most 4 MiB go in one call.
func (c *Client) SetFiles(ctx context.Context, volume string, files []fileset.File) error {
	req := &agentpb.SetFilesRequest{Volume: volume}
	for _, f := range files {
		req.Files = append(req.Files, &agentpb.File{Path: f.Path, Mode: f.Mode, Group: f.Group, Data: f.Data})
	}
	_, err := c.pb.SetFiles(ctx, req)
	return agentpb.FromStatus(err)
}

// Stop asks the workload to end within the grace period, rounded down to
// milliseconds; zero kills. Message is kept as the reason, in words.
func (c *Client) Stop(ctx context.Context, grace time.Duration, message string) error {
	_, err := c.pb.Stop(ctx, &agentpb.StopRequest{GraceMilliseconds: grace.Milliseconds(), Message: message})
	return agentpb.FromStatus(err)
}

// Signal sends a signal to a container's main program; with no container to all.
func (c *Client) Signal(ctx context.Context, container string, signal int) error {
	_, err := c.pb.Signal(ctx, &agentpb.SignalRequest{Container: container, Signal: int32(signal)})
	return agentpb.FromStatus(err)
}

// Stats tells what the containers use.
func (c *Client) Stats(ctx context.Context) (*agentpb.StatsResponse, error) {
	r, err := c.pb.Stats(ctx, &agentpb.StatsRequest{})
	return r, agentpb.FromStatus(err)
}

// Try tells how it ends to connect to a port from inside, or to ask a UDP port.
func (c *Client) Try(ctx context.Context, udp bool, to netip.AddrPort, wait time.Duration) (result api.TryResult, detail string, err error) {
	r, err := c.pb.Try(ctx, &agentpb.TryRequest{Udp: udp, To: to.String(), WaitMilliseconds: wait.Milliseconds()})
	if err != nil {
		return api.TryNot, "", agentpb.FromStatus(err)
	}
	return api.TryResult(r.Result), r.Detail, nil
}

// Watch gives the state now and after changes, with the events after the one of
// that number. While the caller is busy for long, changes are gathered. It
// goes on until ctx ends or the connection breaks: the last step is the error.
func (c *Client) Watch(ctx context.Context, afterEvent uint64) iter.Seq2[agentpb.State, error] {
	return func(yield func(agentpb.State, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stopped := false
		_, err := stream.Call(ctx, c.pb.Watch, agentpb.WatchRequest{AfterEvent: afterEvent}, nil,
			func(_ *stream.Stream, f *agentpb.Frame) error {
				var state agentpb.State
				if err := json.Unmarshal(f.Data, &state); err != nil {
					return fmt.Errorf("watch agent: %w", err)
				}
				if stopped = !yield(state, nil); stopped {
					return context.Canceled
				}
				return nil
			})
		if !stopped {
			yield(agentpb.State{}, err)
		}
	}
}

// Logs calls fn with the journal of an attempt from an offset on, as whole records,
// and follows it. It returns nil when that attempt's output is complete. The first
// chunk may begin later than asked for, where old output was dropped.
func (c *Client) Logs(ctx context.Context, container string, attempt int, offset int64, fn func(journal.Chunk) error) error {
	_, err := stream.Call(ctx, c.pb.Logs, agentpb.LogsRequest{Container: container, Attempt: attempt, Offset: offset}, nil,
		func(_ *stream.Stream, f *agentpb.Frame) error {
			return fn(journal.Chunk{Offset: f.Offset, Data: f.Data})
		})
	return err
}
