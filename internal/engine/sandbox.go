package engine

import (
	"context"
	"fmt"
	"time"

	"cis/api"
	"cis/internal/agent/agentclient"
	"cis/internal/machine"
	"cis/internal/network"
	"cis/internal/store"
)

// sandbox is one that exists, or is being made: recorded, with its address held.
type sandbox struct {
	store.Sandbox
	machine machine.Machine
	link    network.Link
	// client is open once the agent answers.
	client *agentclient.Client
	// held is the memory it took when it became ready.
	held api.Bytes
}

// size is what it was made with.
func (sb *sandbox) size() api.ResourceList { return api.ResourceList{CPU: sb.CPU, Memory: sb.Memory} }

// want is what a sandbox is made for.
type want struct {
	instance string
	iso      api.Isolation
	cpu      api.CPU
	memory   api.Bytes
	hostname string
	subnet   *subnet
	// address to use; empty: a free one.
	address string
	volumes []machine.Volume
}

// recordSandbox takes an address and records the sandbox; nothing is made yet.
func (e *Engine) recordSandbox(ctx context.Context, w want) (*sandbox, error) {
	m, err := e.machine(w.iso)
	if err != nil {
		return nil, err
	}
	sb := &sandbox{machine: m, Sandbox: store.Sandbox{
		ID: newID("s-"), Instance: w.instance, Isolation: m.Isolation(), Subnet: w.subnet.ID, Address: w.address, CPU: w.cpu, Memory: w.memory,
	}}
	cursor := w.subnet.addresses.cursorNow()
	if sb.Address == "" {
		if sb.Address, cursor, err = w.subnet.addresses.take(); err != nil {
			return nil, err
		}
	} else {
		w.subnet.addresses.hold(sb.Address)
	}
	sb.Address6 = w.subnet.address6(sb.Address)
	if err := e.cfg.Store.CreateSandbox(ctx, sb.Sandbox, cursor); err != nil {
		e.networks.release(sb.Sandbox)
		return nil, err
	}
	return sb, nil
}

// boot starts the sandbox and connects to its agent.
func (e *Engine) boot(ctx context.Context, sb *sandbox, w want) error {
	router, err := e.cfg.Network.NetNS(w.subnet.VPC)
	if err != nil {
		return fmt.Errorf("start the sandbox: %w", err)
	}
	nic := machine.NIC{NetNS: sb.link.NetNS, RouterNS: router, Address: sb.Address, Name: sb.link.Name,
		MAC: sb.link.MAC.String(), Gateway: sb.link.Gateway.String(), MTU: sb.link.MTU}
	if sb.link.Address6.IsValid() { // the host may have no IPv6
		nic.Address6, nic.Gateway6 = sb.Address6, sb.link.Gateway6.String()
	}
	err = sb.machine.Start(ctx, machine.Sandbox{
		ID: sb.ID, Ahead: w.instance == "", Layer: api.DefaultEphemeralStorage, CPU: w.cpu, Memory: w.memory, Pids: e.cfg.Limits.Pids, Hostname: w.hostname,
		NIC: nic, Volumes: w.volumes,
	})
	if err != nil {
		return fmt.Errorf("start the sandbox: %w", err)
	}
	if err := e.dial(ctx, sb); err != nil {
		return err
	}
	sb.Ready = true
	return e.cfg.Store.UpdateSandbox(ctx, sb.ID, sb.Instance, true)
}

// dial connects to the agent of a running sandbox.
func (e *Engine) dial(ctx context.Context, sb *sandbox) error {
	conn, err := sb.machine.Connect(ctx, sb.ID)
	if err != nil {
		return fmt.Errorf("connect to the agent: %w", err)
	}
	sb.client = agentclient.New(conn)
	return nil
}

// isGone tells whether the connection to the agent has ended.
func (sb *sandbox) isGone() bool {
	select {
	case <-sb.client.Done():
		return true
	default:
		return false
	}
}

// hangUp closes the connection to the agent; the sandbox lives on.
func (sb *sandbox) hangUp() {
	if sb.client != nil {
		sb.client.Close()
	}
}

// destroy takes a sandbox away with all that was made for it, however far that
// had come. What fails is tried again, more and more slowly, until the engine
// closes; then it is still on record and the next start goes on.
func (e *Engine) destroy(sb *sandbox) {
	sb.hangUp()
	ctx := context.WithoutCancel(e.ctx)
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, time.Minute) {
		err := e.tryDestroy(ctx, sb)
		if err == nil {
			return
		}
		e.log.Error("a sandbox cannot be removed", "sandbox", sb.ID, "instance", sb.Instance, "error", err, "again in", wait)
		select {
		case <-e.ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (e *Engine) tryDestroy(ctx context.Context, sb *sandbox) error {
	// The sandbox goes first: its processes hold the interface.
	if err := sb.machine.Destroy(ctx, sb.ID); err != nil {
		return err
	}
	if err := e.detach(ctx, sb); err != nil {
		return err
	}
	e.networks.release(sb.Sandbox)
	return nil
}
