package engine

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"cis/api"
	"cis/internal/account"
	"cis/internal/agent"
	"cis/internal/agent/runtime/runtimetest"
	"cis/internal/disk"
	"cis/internal/image"
	"cis/internal/machine"
	"cis/internal/network"
	"cis/internal/store"
)

// host is what outlives an engine in these tests: sandboxes with real agents, on a
// runtime that only pretends, and a network that only remembers.
type host struct {
	dir string

	mu        sync.Mutex
	sandboxes map[string]*fakeSandbox
	nics      map[string]network.NIC
	vpcs      map[string]network.VPC
	groups    map[string][]network.Group // by VPC
	updates   int                        // of NICs
	port      uint16
	// refuse, while not nil, fails changes of groups and NICs.
	refuse error
	// hold, while not nil, keeps Start from returning until it is closed, holdNICs Attach.
	hold, holdNICs chan struct{}
	// broken is returned by the next Starts.
	broken error
	starts int
	// sizes are what sandboxes have, most is what Resize can give, and inUse the memory that
	// every sandbox uses.
	sizes map[string]api.ResourceList
	most  api.ResourceList
	inUse api.Bytes
	// read, while not nil, is called with each sandbox that Stats is asked for.
	read func(sandbox string)
}

type fakeSandbox struct {
	*runtimetest.Runtime
	cancel context.CancelFunc
}

func newHost(t *testing.T) *host {
	// The socket paths must be short.
	dir, err := os.MkdirTemp("", "cis")
	if err != nil {
		t.Fatal(err)
	}
	h := &host{dir: dir, sandboxes: map[string]*fakeSandbox{}, sizes: map[string]api.ResourceList{}, nics: map[string]network.NIC{},
		vpcs: map[string]network.VPC{}, groups: map[string][]network.Group{}}
	t.Cleanup(func() {
		ids, _ := h.List(context.Background())
		for _, id := range ids {
			h.Destroy(context.Background(), id)
		}
		os.RemoveAll(dir)
	})
	return h
}

func (h *host) Overhead(api.Bytes) api.Bytes          { return 12 * api.MiB }
func (h *host) Isolation() api.Isolation              { return api.IsolationGVisor }
func (h *host) Check(context.Context) (string, error) { return "it pretends", nil }
func (h *host) socket(id string) string               { return filepath.Join(h.dir, id) }

func (h *host) Start(ctx context.Context, s machine.Sandbox) error {
	h.mu.Lock()
	hold, broken := h.hold, h.broken
	h.starts++
	h.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if broken != nil {
		return broken
	}
	l, err := net.Listen("unix", h.socket(s.ID))
	if err != nil {
		return err
	}
	state := h.socket(s.ID) + ".d"
	if err := os.Mkdir(state, 0o700); err != nil {
		return err
	}
	life, cancel := context.WithCancel(context.Background())
	rt := runtimetest.New()
	go agent.New(life, rt, agent.Options{StateDir: state}).Serve(l)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sandboxes[s.ID], h.sizes[s.ID] = &fakeSandbox{rt, cancel}, api.ResourceList{CPU: s.CPU, Memory: s.Memory}
	return nil
}

func (h *host) Connect(ctx context.Context, id string) (net.Conn, error) {
	conn, err := net.Dial("unix", h.socket(id))
	if err != nil {
		return nil, api.Errorf(api.NotFound, "no sandbox %s: %w", id, err)
	}
	return conn, nil
}

func (h *host) Most(api.CPU, api.Bytes) (api.CPU, api.Bytes) { return h.most.CPU, h.most.Memory }

func (h *host) Resize(_ context.Context, id string, cpu api.CPU, memory api.Bytes) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.inUse > memory {
		return api.Errorf(api.Exhausted, "sandbox %s uses more than %s of memory", id, memory)
	}
	h.sizes[id] = api.ResourceList{CPU: cpu, Memory: memory}
	return nil
}

func (h *host) Equip(context.Context, string, machine.Disks) error { return nil }

func (h *host) Pause(context.Context, string) error  { return nil }
func (h *host) Resume(context.Context, string) error { return nil }

func (h *host) Stats(_ context.Context, id string) (machine.Usage, error) {
	h.mu.Lock()
	read := h.read
	h.mu.Unlock()
	if read != nil {
		read(id)
	}
	return machine.Usage{CPUSeconds: 1, Memory: 20 * api.MiB}, nil
}

func (h *host) Destroy(_ context.Context, id string) error {
	h.mu.Lock()
	sb := h.sandboxes[id]
	delete(h.sandboxes, id)
	delete(h.sizes, id)
	h.mu.Unlock()
	if sb != nil {
		sb.cancel()
	}
	os.RemoveAll(h.socket(id) + ".d")
	os.Remove(h.socket(id))
	return nil
}

func (h *host) List(context.Context) (ids []string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id := range h.sandboxes {
		ids = append(ids, id)
	}
	return ids, nil
}

func (h *host) EnsureVPC(_ context.Context, v network.VPC) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, other := range h.vpcs {
		if other.ID != v.ID && other.HostReachable && v.HostReachable && other.CIDR.Overlaps(v.CIDR) {
			return api.FieldError("cidr", "%s overlaps %s of VPC %s, which the host reaches too", v.CIDR, other.CIDR, other.ID)
		}
	}
	h.vpcs[v.ID] = v
	return nil
}

func (h *host) RemoveVPC(_ context.Context, id string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range h.nics {
		if n.VPC == id {
			return fmt.Errorf("VPC %s has NIC %s", id, n.ID)
		}
	}
	delete(h.vpcs, id)
	delete(h.groups, id)
	return nil
}

func (h *host) SetGroups(_ context.Context, vpc string, groups []network.Group) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refuse != nil {
		return h.refuse
	}
	h.groups[vpc] = groups
	return nil
}

// check says what is wrong with a NIC; h.mu is held.
func (h *host) check(n network.NIC) error {
	v, ok := h.vpcs[n.VPC]
	if !ok || !v.CIDR.Contains(n.Address) {
		return fmt.Errorf("%s is not in VPC %q", n.Address, n.VPC)
	}
	for _, id := range n.Groups {
		if !slices.ContainsFunc(h.groups[n.VPC], func(g network.Group) bool { return g.ID == id }) {
			return fmt.Errorf("VPC %s has no group %s", n.VPC, id)
		}
	}
	for id, other := range h.nics {
		if id != n.ID && other.VPC == n.VPC && other.Address == n.Address {
			return fmt.Errorf("address %s is %s's", n.Address, id)
		}
	}
	return nil
}

func (h *host) UpdateNIC(_ context.Context, n network.NIC) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.nics[n.ID]; !ok {
		return fmt.Errorf("NIC %s is not attached", n.ID)
	}
	if h.refuse != nil {
		return h.refuse
	}
	if err := h.check(n); err != nil {
		return err
	}
	h.nics[n.ID] = n
	h.updates++
	return nil
}

// CheckPort finds a program at ports from 60000 on, and no other address of the host but 192.0.2.1.
func (h *host) CheckPort(p network.Port) error {
	switch {
	case p.Host.IsValid() && p.Host != netip.MustParseAddr("192.0.2.1"):
		return api.FieldError("ports", "%s is not an address of the host", p.Host)
	case p.HostPort >= 60000:
		return api.Errorf(api.Conflict, "port %s of the host is in use by sshd", p)
	}
	return nil
}

func (h *host) FreePort(network.Protocol) (uint16, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.port++
	return 40000 + h.port/2, nil // each twice
}

func (h *host) Flows(_ context.Context, vpc string) ([]network.Flow, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var flows []network.Flow
	for _, n := range h.nics {
		if n.VPC == vpc {
			flows = append(flows, network.Flow{Source: n.Address, Destination: netip.MustParseAddr("1.1.1.1"), Protocol: network.UDP, Port: 53, Connections: 2})
		}
	}
	return flows, nil
}

// hostNetwork is the host's network: a machine has a Check of its own.
type hostNetwork struct{ *host }

// Check lets everything pass but to port 1.
func (h hostNetwork) Check(ctx context.Context, from, to network.Endpoint, p network.Protocol, port uint16) ([]network.Verdict, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.nics[from.NIC]
	return []network.Verdict{{Allowed: true, By: "egress rule 1 of " + n.Groups[0]}, {Allowed: port != 1, By: fmt.Sprintf("%s %s", to.Address, p)}}, nil
}

func (h *host) NetNS(string) (string, error) { return "/ns", nil }

func (h *host) Counters(context.Context, string) (int64, int64, error) { return 1, 2, nil }

func (h *host) Attach(ctx context.Context, n network.NIC) (network.Link, error) {
	h.mu.Lock()
	hold := h.holdNICs
	h.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return network.Link{}, ctx.Err()
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.check(n); err != nil {
		return network.Link{}, err
	}
	h.nics[n.ID] = n
	return network.Link{NetNS: "/ns"}, nil
}

func (h *host) Detach(_ context.Context, id string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.nics, id)
	return nil
}

func (h *host) Reconcile(_ context.Context, want network.State) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.nics, h.vpcs, h.groups = map[string]network.NIC{}, map[string]network.VPC{}, want.Groups
	for _, v := range want.VPCs {
		h.vpcs[v.ID] = v
	}
	var errs []error
	for _, n := range want.NICs {
		h.nics[n.ID] = n
		errs = append(errs, h.check(n))
	}
	return errors.Join(errs...)
}

func (h *host) Mend(ctx context.Context, ask func(context.Context, string) (network.State, func(), error)) error {
	want, done, err := ask(ctx, "")
	if err != nil {
		return err
	}
	ids := make([]string, 0, len(want.VPCs))
	for _, v := range want.VPCs {
		ids = append(ids, v.ID)
	}
	err = h.Reconcile(ctx, want)
	done()
	for _, id := range ids {
		want, done, failed := ask(ctx, id)
		if failed != nil {
			return failed
		}
		err = errors.Join(err, h.Reconcile(ctx, want))
		done()
	}
	return err
}

// left is what there is on the host.
func (h *host) left() (sandboxes, nics int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.sandboxes), len(h.nics)
}

// only returns the one sandbox that there is.
func (h *host) only(t *testing.T) *fakeSandbox {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.sandboxes) != 1 {
		t.Fatalf("%d sandboxes, want one", len(h.sandboxes))
	}
	for _, sb := range h.sandboxes {
		return sb
	}
	return nil
}

// bench is an engine on a host, with an image called "programs".
type bench struct {
	*Engine
	t      *testing.T
	host   *host
	dir    string
	config Config
	store  *store.Store
	images *image.Store
}

func newBench(t *testing.T, change ...func(*Config)) *bench {
	b := &bench{t: t, host: newHost(t), dir: t.TempDir()}
	b.config = Config{
		Network: hostNetwork{b.host}, Machines: map[api.Isolation]machine.Machine{api.IsolationGVisor: b.host}, Default: api.IsolationGVisor,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), DataDir: b.dir, RunDir: filepath.Join(b.dir, "run"),
		CIDR:   netip.MustParsePrefix("10.0.0.0/24"),
		Limits: Limits{CPUs: 2, Memory: 4 * api.GiB, CPUOvercommit: 16, Pids: 100, AnySize: true},
	}
	var err error
	if b.config.Sealer, err = account.OpenSealer(filepath.Join(b.dir, "sealing.key")); err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(&b.config)
	}
	b.open()
	t.Cleanup(func() { b.close() })
	_, err = b.images.Import(t.Context(), rootfs(t), image.ImportOptions{Ref: "programs"})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// open starts an engine on what the last one left.
func (b *bench) open() {
	b.t.Helper()
	ctx := context.Background()
	var err error
	if b.store, err = store.Open(ctx, filepath.Join(b.dir, "record.db")); err != nil {
		b.t.Fatal(err)
	}
	if b.config.Disks, err = disk.Open(filepath.Join(b.dir, "disks")); err != nil {
		b.t.Fatal(err)
	}
	if b.images, err = image.Open(filepath.Join(b.dir, "images"), image.Options{Log: b.config.Log}); err != nil {
		b.t.Fatal(err)
	}
	b.config.Store, b.config.Images = b.store, b.images
	if b.Engine, err = Open(ctx, b.config); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) close() {
	b.Engine.Close()
	b.images.Close()
	b.store.Close()
}

// reopen is a restart of cisd.
func (b *bench) reopen() {
	b.t.Helper()
	b.close()
	b.open()
}

func rootfs(t *testing.T) *bytes.Buffer {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "bin/", Mode: 0o755}); err != nil {
		t.Fatal(err)
	}
	w.Close()
	return &buf
}

// request asks for one container that runs a program of runtimetest.
func request(name string, args ...string) api.CreateInstance {
	req := api.CreateInstance{InstanceSpec: api.InstanceSpec{Name: name, Containers: []api.Container{{
		Image: "programs", Args: args, ImagePullPolicy: api.PullIfNotPresent}}}}
	req.Default(api.Defaults{})
	return req
}

func (b *bench) create(req api.CreateInstance) api.Instance {
	b.t.Helper()
	in, _, err := b.Create(b.t.Context(), req)
	if err != nil {
		b.t.Fatal(err)
	}
	return in
}

// until waits for a state of an instance.
func (b *bench) until(ref, what string, holds func(api.Instance) bool) api.Instance {
	b.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		in, err := b.Get(b.t.Context(), ref)
		if err == nil && holds(in) {
			return in
		}
		if time.Now().After(end) {
			b.t.Fatalf("%s never was %s: %+v, %v", ref, what, in.Status, err)
		}
	}
}

func (b *bench) untilRunning(ref string) api.Instance {
	b.t.Helper()
	return b.until(ref, "running", func(in api.Instance) bool { return in.Status.Phase == api.PhaseRunning })
}

func (b *bench) untilFinished(ref string) api.Instance {
	b.t.Helper()
	return b.until(ref, "finished", func(in api.Instance) bool { return in.Status.Phase.Finished() })
}

// untilClean waits until nothing is left on the host.
func (b *bench) untilClean() {
	b.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		sandboxes, nics := b.host.left()
		all, err := b.store.Sandboxes(context.Background())
		if err != nil {
			b.t.Fatal(err)
		}
		if sandboxes+nics+len(all) == 0 {
			return
		}
		if time.Now().After(end) {
			b.t.Fatalf("left: %d sandboxes, %d nics, %d on record", sandboxes, nics, len(all))
		}
	}
}

func (b *bench) output(ref string) string {
	b.t.Helper()
	var out bytes.Buffer
	err := b.Logs(b.t.Context(), ref, api.LogOptions{Tail: -1}, func(e api.LogEntry) error {
		out.Write(e.Data)
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return out.String()
}
