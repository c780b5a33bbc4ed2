package services

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/record"

	"cis/api"
)

// pool is a cis with two public addresses, whose host has a program at port 30022.
type pool struct {
	mu        sync.Mutex
	vpc       api.VPC
	updates   int
	addresses map[string]api.Address
	shut      bool
}

func (p *pool) VPC(context.Context, string) (api.VPC, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.vpc, nil
}

func (p *pool) UpdateVPC(_ context.Context, _ string, u api.VPCUpdate) (api.VPC, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, port := range u.Ports {
		if port.HostPort == 30022 {
			e := api.Errorf(api.Conflict, "port 30022 of the host is in use by sshd")
			e.Field = fmt.Sprintf("ports[%d].hostPort", i)
			return p.vpc, e
		}
	}
	p.vpc.Ports, p.vpc.Routes, p.vpc.Revision = u.Ports, u.Routes, p.vpc.Revision+1
	p.updates++
	return p.vpc, nil
}

func (p *pool) Addresses(context.Context) (all []api.Address, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.addresses {
		all = append(all, a)
	}
	return all, nil
}

func (p *pool) CreateAddress(_ context.Context, a api.Address) (api.Address, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shut {
		return a, api.Errorf(api.Exhausted, "this cisd has no public addresses")
	}
	if a.Address == "" {
		a.Address = fmt.Sprintf("203.0.113.%d", len(p.addresses)+1)
	}
	a.ID = "eip-" + a.Address
	p.addresses[a.ID] = a
	return a, nil
}

func (p *pool) change(ref string, f func(*api.Address)) (api.Address, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, ok := p.addresses[ref]
	if !ok {
		return a, api.Errorf(api.NotFound, "there is no public address %q", ref)
	}
	f(&a)
	p.addresses[ref] = a
	return a, nil
}

func (p *pool) RouteAddress(_ context.Context, ref, vpc string) (api.Address, error) {
	return p.change(ref, func(a *api.Address) { a.VPC, a.VPCID = vpc, "vpc-"+vpc })
}

func (p *pool) UnbindAddress(_ context.Context, ref string) (api.Address, error) {
	return p.change(ref, func(a *api.Address) { a.VPC, a.VPCID = "", "" })
}

func (p *pool) RemoveAddress(_ context.Context, ref string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a := p.addresses[ref]; a.Bound() {
		return api.Errorf(api.Conflict, "it is bound")
	}
	delete(p.addresses, ref)
	return nil
}

// shows is what of the pool is in use.
func (p *pool) shows() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, port := range p.vpc.Ports {
		out = append(out, fmt.Sprintf("%d/%s", port.HostPort, port.Protocol))
	}
	for _, a := range p.addresses {
		out = append(out, fmt.Sprintf("%s:%s", a.Address, a.VPC))
	}
	slices.Sort(out)
	return strings.Join(append(out, p.vpc.Routes...), " ")
}

func service(name string, change func(*corev1.ServiceSpec)) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID("u-" + name)}, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP}}
	change(&s.Spec)
	return s
}

func typed(kind corev1.ServiceType, ports ...int32) func(*corev1.ServiceSpec) {
	return func(s *corev1.ServiceSpec) {
		s.Type = kind
		for _, n := range ports {
			s.Ports = append(s.Ports, corev1.ServicePort{Port: 80, NodePort: n})
		}
	}
}

// desk is a controller at work on a cluster.
type desk struct {
	*testing.T
	kube   *fake.Clientset
	cis    *pool
	events *record.FakeRecorder
	stop   func()
}

func open(t *testing.T, cis *pool, services ...*corev1.Service) *desk {
	t.Helper()
	d := &desk{T: t, kube: fake.NewClientset(), cis: cis, events: record.NewFakeRecorder(100)}
	for _, s := range services {
		d.create(s)
	}
	d.start()
	return d
}

func (d *desk) start() {
	cluster := informers.NewSharedInformerFactory(d.kube, 0)
	c := New(Config{Kube: d.kube, Cis: d.cis, Recorder: d.events, Log: slog.New(slog.DiscardHandler), Cluster: cluster, Node: "n1", CIDR: "10.96.0.0/16"})
	ctx, cancel := context.WithCancel(d.Context())
	cluster.Start(ctx.Done())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	stopped := false
	d.stop = func() {
		if !stopped {
			stopped = true
			cancel()
			if err := <-done; err != nil {
				d.Error(err)
			}
		}
	}
	d.Cleanup(d.stop)
}

func (d *desk) create(s *corev1.Service) {
	d.Helper()
	if _, err := d.kube.CoreV1().Services(s.Namespace).Create(d.Context(), s, metav1.CreateOptions{}); err != nil {
		d.Fatal(err)
	}
}

func (d *desk) remove(name string) {
	d.Helper()
	if err := d.kube.CoreV1().Services("default").Delete(d.Context(), name, metav1.DeleteOptions{}); err != nil {
		d.Fatal(err)
	}
}

func (d *desk) ingress(name string) string {
	d.Helper()
	s, err := d.kube.CoreV1().Services("default").Get(d.Context(), name, metav1.GetOptions{})
	if err != nil {
		d.Fatal(err)
	}
	var ips []string
	for _, in := range s.Status.LoadBalancer.Ingress {
		ips = append(ips, in.IP)
	}
	return strings.Join(ips, " ")
}

func (d *desk) await(want string, got func() string) {
	d.Helper()
	for range 6000 {
		if got() == want {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	d.Fatalf("got %q, want %q", got(), want)
}

func (d *desk) says(part string) {
	d.Helper()
	for {
		select {
		case e := <-d.events.Events:
			if strings.Contains(e, part) {
				return
			}
		case <-time.After(time.Minute):
			d.Fatalf("no event says %q", part)
		}
	}
}

func newPool() *pool { return &pool{addresses: map[string]api.Address{}} }

func TestNodePorts(t *testing.T) {
	d := open(t, newPool(), service("inner", typed(corev1.ServiceTypeClusterIP, 30001)),
		service("a", typed(corev1.ServiceTypeNodePort, 30002, 30001)),
		service("dns", func(s *corev1.ServiceSpec) {
			s.Type, s.Ports = corev1.ServiceTypeNodePort, []corev1.ServicePort{{NodePort: 30053, Protocol: corev1.ProtocolUDP}, {NodePort: 30054, Protocol: corev1.ProtocolSCTP}}
		}))
	d.await("30001/TCP 30002/TCP 30053/UDP 10.96.0.0/16", d.cis.shows)
	d.create(service("ssh", typed(corev1.ServiceTypeNodePort, 30022, 30023)))
	d.says("NodePortTaken node port 30022/TCP")
	d.await("30001/TCP 30002/TCP 30023/TCP 30053/UDP 10.96.0.0/16", d.cis.shows)
	d.remove("ssh")
	d.remove("dns")
	d.await("30001/TCP 30002/TCP 10.96.0.0/16", d.cis.shows)
	// What is so already is not written again.
	d.stop()
	before := d.cis.updates
	d.start()
	d.create(service("b", typed(corev1.ServiceTypeNodePort, 30003)))
	d.await("30001/TCP 30002/TCP 30003/TCP 10.96.0.0/16", d.cis.shows)
	if n := d.cis.updates - before; n > 1 {
		t.Errorf("%d updates", n)
	}
}

func TestLoadBalancers(t *testing.T) {
	cis := newPool()
	cis.addresses["eip-other"] = api.Address{ID: "eip-other", Address: "203.0.113.99"}
	cis.addresses["eip-gone"] = api.Address{ID: "eip-gone", Address: "203.0.113.98", VPC: "default", VPCID: "vpc-default",
		Labels: map[string]string{"cis.io/node": "n1", "cis.io/service-uid": "u-gone"}}
	others := "other.io/class"
	d := open(t, cis, service("web", typed(corev1.ServiceTypeLoadBalancer)),
		service("not-ours", func(s *corev1.ServiceSpec) { s.Type, s.LoadBalancerClass = corev1.ServiceTypeLoadBalancer, &others }))
	// That of a Service that went while nobody looked is given back; others' stay.
	d.await("203.0.113.2:default", func() string { return d.ingress("web") + ":default" })
	d.await("203.0.113.2:default 203.0.113.99: 10.96.0.0/16", cis.shows)
	d.says("EnsuredLoadBalancer")
	if in := d.ingress("not-ours"); in != "" {
		t.Errorf("another's has %s", in)
	}
	// It stays over a restart, and goes with its Service, be it while nobody looks.
	d.stop()
	d.start()
	d.create(service("wished", func(s *corev1.ServiceSpec) { s.Type, s.LoadBalancerIP = corev1.ServiceTypeLoadBalancer, "203.0.113.77" }))
	d.await("203.0.113.77", func() string { return d.ingress("wished") })
	d.await("203.0.113.2:default 203.0.113.77:default 203.0.113.99: 10.96.0.0/16", cis.shows)
	d.remove("wished")
	d.await("203.0.113.2:default 203.0.113.99: 10.96.0.0/16", cis.shows)
	d.stop()
	d.remove("web")
	d.start()
	d.await("203.0.113.99: 10.96.0.0/16", cis.shows)
}

// Without a pool a Service waits, and is told why.
func TestNoPool(t *testing.T) {
	cis := newPool()
	cis.shut = true
	d := open(t, cis, service("web", typed(corev1.ServiceTypeLoadBalancer)))
	d.says("SyncLoadBalancerFailed get a public address: this cisd has no public addresses")
	if in := d.ingress("web"); in != "" {
		t.Errorf("it has %s", in)
	}
	cis.mu.Lock()
	cis.shut = false
	cis.mu.Unlock()
	d.await("203.0.113.1", func() string { return d.ingress("web") })
}
