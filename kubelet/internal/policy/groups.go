package policy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	corelisters "k8s.io/client-go/listers/core/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"cis/api"
)

// Cis is what is used of the client of /v1.
type Cis interface {
	SecurityGroups(ctx context.Context) ([]api.SecurityGroup, error)
	CreateSecurityGroup(ctx context.Context, g api.SecurityGroup) (api.SecurityGroup, error)
	UpdateSecurityGroup(ctx context.Context, ref string, u api.SecurityGroupUpdate) (api.SecurityGroup, error)
	RemoveSecurityGroup(ctx context.Context, ref string) error
	SetSecurityGroups(ctx context.Context, ref string, groups ...string) (api.Instance, error)
}

// Pods are the node's, with their instances.
type Pods interface {
	// Known is closed once all that there are are known.
	Known() <-chan struct{}
	Pods() []*corev1.Pod
	Instance(pod *corev1.Pod) (api.Instance, bool)
}

// Config of the groups.
type Config struct {
	Cis      Cis
	Recorder record.EventRecorder
	Log      *slog.Logger
	// Cluster watches what is of the whole cluster; its owner starts it.
	Cluster informers.SharedInformerFactory
	Node    string
	// DNS says whether the cluster's DNS serves the pods' VPC from its own namespace.
	DNS bool
}

// Groups keeps each pod in the security group of its class.
type Groups struct {
	Config
	policies   networkinglisters.NetworkPolicyLister
	namespaces corelisters.NamespaceLister
	informers  []cache.SharedIndexInformer
	wake       chan struct{}
	// ready is closed when pods is set, and knows all.
	ready chan struct{}
	pods  Pods

	mu   sync.Mutex // held while groups of cis are looked at and changed
	kept kept
	// held counts the pods that are about to be put into a group.
	held map[string]int
	// told are the problems that there are, by the UIDs of policies.
	told map[types.UID][]string
}

// New makes them; Run starts the work.
func New(c Config) *Groups {
	policies, namespaces := c.Cluster.Networking().V1().NetworkPolicies(), c.Cluster.Core().V1().Namespaces()
	return &Groups{
		Config: c, policies: policies.Lister(), namespaces: namespaces.Lister(),
		informers: []cache.SharedIndexInformer{policies.Informer(), namespaces.Informer()},
		wake:      make(chan struct{}, 1), ready: make(chan struct{}), kept: kept{cis: c.Cis, node: c.Node}, held: map[string]int{},
	}
}

// The waits between tries that fail.
const (
	retryMin = 500 * time.Millisecond
	retryMax = 30 * time.Second
)

// Run works until ctx ends. Groups, and the pods in them, stay as they are.
func (g *Groups) Run(ctx context.Context, pods Pods) error {
	for _, i := range g.informers {
		registration, err := i.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { g.Poke() }, UpdateFunc: func(any, any) { g.Poke() }, DeleteFunc: func(any) { g.Poke() },
		})
		if err != nil {
			return fmt.Errorf("watch network policies: %w", err)
		}
		defer func() { _ = i.RemoveEventHandler(registration) }()
		if !cache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
			return nil
		}
	}
	select {
	case <-pods.Known():
	case <-ctx.Done():
		return nil
	}
	g.pods = pods
	close(g.ready)
	wait := time.Duration(0)
	for {
		var again <-chan time.Time
		left, err := g.sync(ctx)
		wait = min(max(2*wait, retryMin), retryMax)
		switch {
		case err != nil && ctx.Err() == nil:
			g.Log.Warn("not all network policies are in force", "error", err, "again in", wait)
			again = time.After(wait)
		case left:
			again = time.After(wait)
		default:
			wait = 0
		}
		select {
		case <-ctx.Done():
			return nil
		case <-g.wake:
		case <-again:
		}
	}
}

// Poke tells that a pod or an instance has changed.
func (g *Groups) Poke() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// Hold makes sure of the group that a pod's instance is to be made in. The group stays
// until release is called, with the error of that.
func (g *Groups) Hold(ctx context.Context, pod *corev1.Pod) (name string, release func(error), err error) {
	select {
	case <-g.ready:
	case <-ctx.Done():
		return "", nil, context.Cause(ctx)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s, err := g.state()
	if err != nil {
		return "", nil, err
	}
	c := s.classOf(pod)
	want, _ := s.rulesOf(c)
	if err := g.kept.keep(ctx, c, want); err != nil {
		return "", nil, err
	}
	name = c.group(g.Node)
	g.held[name]++
	return name, func(err error) { g.release(name, err) }, nil
}

func (g *Groups) release(name string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held[name]--; g.held[name] == 0 {
		delete(g.held, name)
	}
	if api.CodeOf(err) == api.NotFound {
		g.kept.doubt() // somebody may have removed the group
	}
	g.Poke()
}

// state is as it is known now.
func (g *Groups) state() (*state, error) {
	policies, err := g.policies.List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("list network policies: %w", err)
	}
	namespaces, err := g.namespaces.List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	s := newState(policies, namespaces)
	if g.DNS {
		s.peers = append(s.peers, clusterDNS)
	}
	for _, pod := range g.pods.Pods() {
		if in, ok := g.lives(pod); ok {
			s.peers = append(s.peers, &peer{namespace: pod.Namespace, labels: pod.Labels, addresses: addressesOf(in), ports: portsOf(pod)})
		}
	}
	return s, nil
}

// lives is the instance of a pod that has not ended.
func (g *Groups) lives(pod *corev1.Pod) (api.Instance, bool) {
	in, ok := g.pods.Instance(pod)
	return in, ok && !in.Status.Phase.Finished()
}

func addressesOf(in api.Instance) (all []netip.Addr) {
	for _, text := range []string{in.Status.Address, in.Status.Address6} {
		if a, err := netip.ParseAddr(text); err == nil {
			all = append(all, a)
		}
	}
	return all
}

// sync brings the rules of all groups in use up to date, then each pod into its group,
// then removes groups that have no use, unless some are left for later.
func (g *Groups) sync(ctx context.Context) (left bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s, err := g.state()
	if err != nil {
		return false, err
	}
	groups := map[string]error{} // that are wanted, and why one cannot be had
	var errs []error
	var problems []problem
	for _, pod := range g.pods.Pods() {
		in, ok := g.lives(pod)
		if !ok {
			continue
		}
		c := s.classOf(pod)
		name := c.group(g.Node)
		if _, done := groups[name]; !done {
			want, some := s.rulesOf(c)
			problems = append(problems, some...)
			groups[name] = g.kept.keep(ctx, c, want)
			errs = append(errs, groups[name])
		}
		if groups[name] == nil {
			errs = append(errs, g.move(ctx, pod, in, name))
		}
	}
	g.tell(problems)
	left, err = g.kept.removeBut(ctx, func(name string) bool { _, wanted := groups[name]; return wanted || g.held[name] > 0 })
	return left, errors.Join(append(errs, err)...)
}

// move puts a pod into a group, if it is in another.
func (g *Groups) move(ctx context.Context, pod *corev1.Pod, in api.Instance, name string) error {
	if slices.Equal(in.Spec.Network.SecurityGroups, []string{name}) {
		return nil
	}
	_, err := g.Cis.SetSecurityGroups(ctx, in.ID, name)
	if api.CodeOf(err) == api.NotFound {
		return nil // the instance ended meanwhile
	}
	if err != nil {
		return fmt.Errorf("put pod %s/%s into security group %s: %w", pod.Namespace, pod.Name, name, err)
	}
	return nil
}

// tell says of each policy what of it is not in force, once.
func (g *Groups) tell(problems []problem) {
	now := map[types.UID][]string{}
	for _, p := range problems {
		uid := p.policy.UID
		if slices.Contains(now[uid], p.what) {
			continue
		}
		now[uid] = append(now[uid], p.what)
		if !slices.Contains(g.told[uid], p.what) {
			g.Recorder.Event(p.policy, corev1.EventTypeWarning, "PartlyInForce", p.what)
		}
	}
	g.told = now
}
