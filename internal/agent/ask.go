package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/lifecycle"
	"cis/internal/agent/runtime"
)

// maxAnswer is how much of a command's output or of an HTTP answer is read, as the
// kubelet does.
const maxAnswer = 10 << 10

// asker does the actions of probes and hooks.
type asker struct {
	rt   runtime.Runtime
	host string
	http *http.Client
	grpc *http.Transport
}

func newAsker(rt runtime.Runtime, probeHost, address string) *asker {
	host := probeHost
	if host == "" {
		host = address
	}
	k := &asker{rt: rt, host: host, grpc: newGRPCTransport()}
	k.http = newHTTPClient(k.dial)
	return k
}

// probe asks once; an error is the probe's failure in words.
func (k *asker) probe(ctx context.Context, container string, h api.Handler) error {
	switch {
	case h.Exec != nil:
		return k.command(ctx, container, h.Exec.Command)
	case h.HTTPGet != nil:
		return k.get(ctx, h.HTTPGet)
	case h.TCPSocket != nil:
		return k.connect(ctx, h.TCPSocket)
	case h.GRPC != nil:
		return k.health(ctx, h.GRPC)
	}
	return errors.New("the probe has no action")
}

// hook does a hook's action. Of HTTP any answer is a success, as in Kubernetes.
func (k *asker) hook(ctx context.Context, container string, h api.Handler) error {
	if h.Sleep != nil {
		return pause(ctx, time.Duration(h.Sleep.Seconds)*time.Second)
	}
	err := k.probe(ctx, container, h)
	if _, answered := errors.AsType[statusError](err); answered {
		return nil
	}
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (k *asker) connect(ctx context.Context, t *api.TCPSocketAction) error {
	c, err := k.dial(ctx, "tcp", net.JoinHostPort(cmp.Or(t.Host, k.host), strconv.Itoa(t.Port)))
	if err != nil {
		return err
	}
	return c.Close()
}

// dial connects to the instance from here. Others are connected to from inside: what
// may be reached from there is for its security groups to say, and here may be a
// better place.
func (k *asker) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if host, _, err := net.SplitHostPort(address); err != nil || host == k.host {
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	return k.rt.Dial(ctx, to)
}

// command runs a command in a container; exit code 0 is success. When ctx ends the
// command is killed.
func (k *asker) command(ctx context.Context, container string, args []string) error {
	s, err := newStdio(false, false)
	if err != nil {
		return err
	}
	p, err := k.rt.Exec(ctx, container, &agentpb.ExecStart{Container: container, Args: args}, s.program)
	s.closeProgram()
	if err != nil {
		s.closeOurs()
		return err
	}
	alive, died := context.WithCancel(context.Background())
	out := &head{}
	var pumps sync.WaitGroup
	pumps.Go(func() { pump(alive, s.out, out.write) })
	pumps.Go(func() { pump(alive, s.err, out.write) })
	exit, err := waitOrKill(ctx, p, syscall.SIGKILL)
	died()
	pumps.Wait()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("command did not end in time: %w", ctx.Err())
	case err != nil:
		return err
	case exit.Code == 0:
		return nil
	}
	return fmt.Errorf("command ended with exit code %d: %s", exit.Code, strings.TrimSpace(out.String()))
}

// waitOrKill waits for a program. When ctx ends first it gets a signal, and is killed
// if that does not end it within a second.
func waitOrKill(ctx context.Context, p runtime.Process, sig syscall.Signal) (exit runtime.Exit, err error) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		exit, err = p.Wait()
	}()
	select {
	case <-ended:
		return exit, err
	case <-ctx.Done():
	}
	for {
		kill, cancel := context.WithTimeout(context.WithoutCancel(ctx), clearTimeout)
		p.Signal(kill, int(sig), false)
		cancel()
		select {
		case <-ended:
			return exit, err
		case <-time.After(time.Second):
			sig = syscall.SIGKILL
		}
	}
}

// head keeps the beginning of what is written to it.
type head struct {
	mu   sync.Mutex
	text []byte
}

func (h *head) write(b []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text = append(h.text, b[:min(len(b), maxAnswer-len(h.text))]...)
	return nil
}

func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return string(h.text)
}

// probe asks for the machine.
func (s *slot) probe(ref lifecycle.Ref, kind lifecycle.ProbeKind) {
	spec := map[lifecycle.ProbeKind]*api.Probe{
		lifecycle.Startup: s.spec.StartupProbe, lifecycle.Liveness: s.spec.LivenessProbe, lifecycle.Readiness: s.spec.ReadinessProbe,
	}[kind]
	timeout := time.Duration(lifecycle.WithDefaults(*spec).TimeoutSeconds) * time.Second
	ctx, cancel := context.WithTimeout(s.sup.ctx, timeout)
	defer cancel()
	err := s.sup.asker.probe(ctx, s.spec.Name, spec.Handler)
	answer := lifecycle.Probed{Ref: ref, Kind: kind, OK: err == nil}
	if err != nil {
		answer.Message = messageOf(err)
	}
	s.sup.post(answer)
}

// runHook runs a hook for the machine.
func (s *slot) runHook(ref lifecycle.Ref, hook lifecycle.Hook) {
	h := s.spec.Lifecycle.PostStart
	if hook == lifecycle.PreStop {
		h = s.spec.Lifecycle.PreStop
	}
	ctx, cancel := context.WithCancel(s.sup.ctx)
	s.stopHook[hook] = cancel
	go func() {
		defer cancel()
		err := s.sup.asker.hook(ctx, s.spec.Name, *h)
		s.sup.post(lifecycle.HookDone{Ref: ref, Hook: hook, Err: err})
	}()
}

func (s *slot) cancelHook(hook lifecycle.Hook) { s.stopHook[hook]() }
