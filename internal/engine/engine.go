// Package engine turns a wanted instance into a running one and keeps the
// record true: it admits, pulls, makes the network and the sandbox, hands the
// workload to the agent, follows it to its end, and takes everything away again.
//
// Each live instance has one goroutine (life.go) that takes it from where the
// record says it is to its end; a restart of the process begins at the same
// place. Nothing polls. The engine knows neither HTTP nor what a sandbox is made
// of.
package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	"cis/api"
	"cis/internal/account"
	"cis/internal/disk"
	"cis/internal/image"
	"cis/internal/keylock"
	"cis/internal/machine"
	"cis/internal/meter"
	"cis/internal/network"
	"cis/internal/store"
)

// Network is what the engine needs of package network.
type Network interface {
	EnsureVPC(ctx context.Context, v network.VPC) error
	RemoveVPC(ctx context.Context, id string) error
	SetGroups(ctx context.Context, vpcID string, groups []network.Group) error
	Attach(ctx context.Context, n network.NIC) (network.Link, error)
	UpdateNIC(ctx context.Context, n network.NIC) error
	Detach(ctx context.Context, nicID string) error
	Reconcile(ctx context.Context, want network.State) error
	Mend(ctx context.Context, ask func(ctx context.Context, vpcID string) (want network.State, done func(), err error)) error
	NetNS(vpcID string) (string, error)
	HostPorts
	Flows(ctx context.Context, vpcID string) ([]network.Flow, error)
	Check(ctx context.Context, from, to network.Endpoint, p network.Protocol, port uint16) ([]network.Verdict, error)
	Counters(ctx context.Context, nicID string) (rx, tx int64, err error)
}

// HostPorts is what the engine needs to know of the host's ports.
type HostPorts interface {
	FreePort(p network.Protocol) (uint16, error)
	CheckPort(p network.Port) error
}

// Images is what the engine needs of package image.
type Images interface {
	Ensure(ctx context.Context, req image.Request) (*image.Lease, error)
	Lease(digest string) (*image.Lease, error)
	All() []image.Image
	List(owner string) []image.Image
	Remove(owner, ref string) error
	Import(ctx context.Context, r io.Reader, opts image.ImportOptions) ([]image.Image, error)
	Collect(ctx context.Context) ([]image.Image, error)
}

// Config of an engine.
type Config struct {
	Store   *store.Store
	Images  Images
	Network Network
	// Machines by isolation; Default is what auto means here.
	Machines map[api.Isolation]machine.Machine
	Default  api.Isolation
	Log      *slog.Logger

	// Disks keeps the files of disks.
	Disks *disk.Store

	// DataDir keeps logs; RunDir what a reboot may take (volumes' files).
	DataDir, RunDir string
	// CIDR is the range of the default VPC and of its one subnet.
	CIDR netip.Prefix
	// PublicAddresses is the pool of those that can be bound to instances.
	PublicAddresses []netip.Prefix
	// Limits are what specs are checked against and capacity is counted by.
	Limits Limits
	// Standby says which sandboxes wait ready.
	Standby StandbyConfig
	// Prices of what is used; nil: none.
	Prices *meter.Prices
	// Sealer seals the secrets of keys.
	Sealer  *account.Sealer
	Version string
}

// Limits of the host and the operator.
type Limits struct {
	CPUs          int
	Memory        api.Bytes
	Reserved      api.Bytes
	CPUOvercommit float64
	DefaultSize   api.Size
	Sizes         []api.Size
	AnySize       bool
	// Pids is the most processes and threads in one instance.
	Pids int64
	// ImagesMaxSize is shown, not used, here.
	ImagesMaxSize api.Bytes
}

// Engine is a running engine.
type Engine struct {
	cfg        Config
	log        *slog.Logger
	networks   *networks
	disks      *disks
	capacity   *capacity
	catalog    *catalog
	identities *identities
	names      *names
	pool       *pool
	instances  *hub[api.WatchEvent[api.Instance]]
	events     *hub[api.Event]
	audit      *hub[api.AuditEntry]

	// ctx ends at Close; lives then leave their sandboxes as they are.
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	// tokens is held by creates that have a client token.
	tokens sync.Mutex

	// changes is held while accounts, users and keys change, or VPCs, subnets, groups and
	// addresses, and, by its ID, while a disk does; wiring, by instance, while a NIC does.
	changes, wiring keylock.Lock

	// wires is held for reading where a NIC comes, changes or goes with its record, for
	// writing while all of them are compared with it.
	wires sync.RWMutex

	enforcing sync.Mutex
	inForce   inForce // guarded by enforcing

	// marking is held while what runs is marked: a count must not come after a later one.
	marking sync.Mutex

	// births is held, by ID, where an instance gets a life or loses its record.
	births keylock.Lock

	spending spending

	mu    sync.Mutex
	lives map[string]*life
	// departed are lives that were removed at their end, for a while.
	departed map[string]*life
}

// Open makes an engine that goes on with what is on record: it takes the
// running instances up again, finishes what was half done, and removes what
// belongs to no record. It returns once that is under way.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	e := &Engine{
		cfg: cfg, log: cfg.Log, capacity: newCapacity(cfg.Limits), catalog: newCatalog(), names: newNames(),
		instances: newHub[api.WatchEvent[api.Instance]](), events: newHub[api.Event](), audit: newHub[api.AuditEntry](),
		inForce: inForce{}, lives: map[string]*life{}, departed: map[string]*life{},
	}
	// What the engine does by itself is for every account.
	ctx = account.With(ctx, account.Caller{Role: api.RoleAdmin, System: true})
	e.ctx, e.cancel = context.WithCancel(context.WithoutCancel(ctx))
	e.pool = newPool(e, cfg.Standby)
	if err := e.reconcile(ctx); err != nil {
		e.cancel()
		return nil, fmt.Errorf("reconcile: %w", err)
	}
	e.wg.Go(func() { e.pool.run(e.ctx) })
	e.wg.Go(func() { e.housekeep(e.ctx) })
	e.wg.Go(func() { e.tend(e.ctx) })
	e.wg.Go(func() { e.meter(e.ctx) })
	return e, nil
}

// Close stops following the instances; they run on.
func (e *Engine) Close() {
	e.mark(context.WithoutCancel(e.ctx))
	e.cancel()
	e.wg.Wait()
}

// housekeep forgets what is too old, once an hour.
func (e *Engine) housekeep(ctx context.Context) {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		if err := e.forgetOld(ctx, time.Now()); err != nil && ctx.Err() == nil {
			e.log.Warn("housekeeping failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tendEvery is how long the network may be other than on record because somebody changed
// it by hand.
const tendEvery = time.Minute

// tend makes the network what it shall be, again and again.
func (e *Engine) tend(ctx context.Context) {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := e.mend(ctx); err != nil && ctx.Err() == nil {
			e.log.Error("the network is not all as it should be", "error", err)
		}
	}
}

func (e *Engine) forgetOld(ctx context.Context, now time.Time) error {
	collected, err := e.cfg.Images.Collect(ctx)
	for _, im := range collected {
		e.log.Info("an unused image was removed", "image", im.Digest, "refs", im.Refs, "size", im.DiskSize)
	}
	return errors.Join(err,
		e.cfg.Store.ForgetTokens(ctx, now.Add(-tokenLife)),
		e.cfg.Store.ForgetEvents(ctx, now.Add(-eventLife)),
		e.cfg.Store.ForgetUsage(ctx, now.Add(-usageLife)),
		e.cfg.Store.ForgetAudit(ctx, now.Add(-auditLife)))
}

const (
	tokenLife = 24 * time.Hour
	eventLife = 24 * time.Hour
	usageLife = 400 * 24 * time.Hour
	auditLife = 400 * 24 * time.Hour
)

// machine returns the machine of an isolation, with auto resolved.
func (e *Engine) machine(iso api.Isolation) (machine.Machine, error) {
	if iso == api.IsolationAuto || iso == "" {
		iso = e.cfg.Default
	}
	if m := e.cfg.Machines[iso]; m != nil {
		return m, nil
	}
	err := api.FieldError("isolation", "%q does not work on this host", iso)
	return nil, err.WithNext("leave it out, or see `cis info` for what works and why")
}

// life returns the live instance of that ID, or nil.
func (e *Engine) life(id string) *life {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lives[id]
}

func (e *Engine) logDir(id string) string { return filepath.Join(e.cfg.DataDir, "logs", id) }
func (e *Engine) runDir(id string) string { return filepath.Join(e.cfg.RunDir, "instances", id) }
