package policy

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
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/record"

	"cis/api"
)

// cis has security groups, and the instances of the node's pods.
type cis struct {
	mu        sync.Mutex
	groups    map[string]api.SecurityGroup
	instances map[string]api.Instance // by the pod's name
	pods      map[string]*corev1.Pod
	writes    int
	known     chan struct{}
	refuses   string // updates of this group
}

func newCis(groups ...api.SecurityGroup) *cis {
	c := &cis{groups: map[string]api.SecurityGroup{}, instances: map[string]api.Instance{}, pods: map[string]*corev1.Pod{}, known: make(chan struct{})}
	close(c.known)
	for _, g := range groups {
		c.groups[g.Name] = g
	}
	return c
}

func (c *cis) SecurityGroups(context.Context) (all []api.SecurityGroup, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, g := range c.groups {
		all = append(all, g)
	}
	return all, nil
}

func (c *cis) CreateSecurityGroup(_ context.Context, g api.SecurityGroup) (api.SecurityGroup, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := g.Validate(); err != nil {
		return g, err
	}
	if _, ok := c.groups[g.Name]; ok {
		return g, api.Errorf(api.Conflict, "there is a security group %s", g.Name)
	}
	c.writes++
	c.groups[g.Name] = g
	return g, nil
}

func (c *cis) UpdateSecurityGroup(_ context.Context, ref string, u api.SecurityGroupUpdate) (api.SecurityGroup, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g, ok := c.groups[ref]
	if !ok {
		return g, api.Errorf(api.NotFound, "there is no security group %s", ref)
	}
	if ref == c.refuses {
		c.refuses = ""
		return g, api.Errorf(api.Unavailable, "busy")
	}
	c.writes++
	g.Ingress, g.Egress = u.Ingress, u.Egress
	c.groups[ref] = g
	return g, nil
}

func (c *cis) RemoveSecurityGroup(_ context.Context, ref string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, in := range c.instances {
		if slices.Contains(in.Spec.Network.SecurityGroups, ref) {
			return api.Errorf(api.Conflict, "security group %s is used", ref)
		}
	}
	c.writes++
	delete(c.groups, ref)
	return nil
}

func (c *cis) SetSecurityGroups(_ context.Context, ref string, groups ...string) (api.Instance, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	in, ok := c.instances[ref]
	if !ok {
		return in, api.Errorf(api.NotFound, "there is no instance %s", ref)
	}
	in.Spec.Network.SecurityGroups = groups
	c.instances[ref] = in
	return in, nil
}

func (c *cis) Known() <-chan struct{} { return c.known }

func (c *cis) Pods() (all []*corev1.Pod) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.pods {
		all = append(all, p)
	}
	return all
}

func (c *cis) Instance(pod *corev1.Pod) (api.Instance, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	in, ok := c.instances[pod.Name]
	return in, ok
}

// put has a pod and its instance be there, in the group default.
func (c *cis) put(pod *corev1.Pod, address, group string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	in := api.Instance{ID: pod.Name, Status: api.InstanceStatus{Phase: api.PhaseRunning, Address: address}}
	in.Spec.Network.SecurityGroups = []string{group}
	c.pods[pod.Name], c.instances[pod.Name] = pod, in
}

func (c *cis) remove(pod string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pods, pod)
	delete(c.instances, pod)
}

// shows is what each pod's groups let in, and the names of all groups.
func (c *cis) shows() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var pods, groups []string
	for name, in := range c.instances {
		pods = append(pods, fmt.Sprintf("%s<%s", name, shown(c.groups[in.Spec.Network.SecurityGroups[0]].Ingress)))
	}
	for name := range c.groups {
		name, _, _ = strings.Cut(name, "-")
		groups = append(groups, name)
	}
	slices.Sort(pods)
	slices.Sort(groups)
	return strings.Join(append(pods, groups...), " ")
}

// scene is the groups at work on a cluster.
type scene struct {
	*testing.T
	kube   *fake.Clientset
	cis    *cis
	events *record.FakeRecorder
	groups *Groups
	stop   func()
}

func open(t *testing.T, c *cis, policies ...*networkingv1.NetworkPolicy) *scene {
	t.Helper()
	s := &scene{T: t, kube: fake.NewClientset(), cis: c, events: record.NewFakeRecorder(100)}
	for _, n := range namespacesOf("default") {
		if _, err := s.kube.CoreV1().Namespaces().Create(t.Context(), n, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range policies {
		s.apply(p)
	}
	s.start()
	return s
}

func (s *scene) start() {
	cluster := informers.NewSharedInformerFactory(s.kube, 0)
	s.groups = New(Config{Cis: s.cis, Recorder: s.events, Log: slog.New(slog.DiscardHandler), Cluster: cluster, Node: "n1"})
	ctx, cancel := context.WithCancel(s.Context())
	cluster.Start(ctx.Done())
	done := make(chan error)
	go func() { done <- s.groups.Run(ctx, s.cis) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.Error(err)
		}
	})
	s.Cleanup(s.stop)
}

func (s *scene) apply(p *networkingv1.NetworkPolicy) {
	s.Helper()
	client := s.kube.NetworkingV1().NetworkPolicies(p.Namespace)
	_, err := client.Create(s.Context(), p, metav1.CreateOptions{})
	if err != nil {
		_, err = client.Update(s.Context(), p, metav1.UpdateOptions{})
	}
	if err != nil {
		s.Fatal(err)
	}
}

func (s *scene) drop(policy string) {
	s.Helper()
	if err := s.kube.NetworkingV1().NetworkPolicies("default").Delete(s.Context(), policy, metav1.DeleteOptions{}); err != nil {
		s.Fatal(err)
	}
}

func (s *scene) await(want string) {
	s.Helper()
	for range 6000 {
		if s.cis.shows() == want {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.Fatalf("got %q, want %q", s.cis.shows(), want)
}

// TestLife: policies come, change and go, and so do the pods' groups.
func TestLife(t *testing.T) {
	s := open(t, newCis(api.SecurityGroup{Name: "default"}))
	s.cis.put(podOf("default", "web", "front", 80), "10.0.0.2", "default")
	s.cis.put(podOf("default", "db", "back", 80), "10.0.0.4", "default")
	s.groups.Poke()
	s.await("db<any web<any default pods")
	s.apply(policyOf(t, "p", `{podSelector: {matchLabels: {app: web}}}`))
	s.await("db<any web< default pods pods")
	s.apply(policyOf(t, "p", `{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {tier: back}}}]}]}`))
	s.await("db<any web<any,10.0.0.4/32 default pods pods")
	s.cis.put(podOf("default", "cache", "back", 80), "10.0.0.6", "pods")
	s.groups.Poke()
	s.await("cache<any db<any web<any,10.0.0.4/32 any,10.0.0.6/32 default pods pods")
	s.cis.put(podOf("default", "cache", "front", 80), "10.0.0.6", "pods") // its labels changed
	s.groups.Poke()
	s.await("cache<any db<any web<any,10.0.0.4/32 default pods pods")
	s.cis.remove("db")
	s.groups.Poke()
	s.await("cache<any web< default pods pods")
	s.drop("p")
	s.await("cache<any web<any default pods")
}

// TestAway: what was made before a restart is found, put right and taken back; the groups
// of others stay, and so do the rules that the operator gave to open pods.
func TestAway(t *testing.T) {
	mine := map[string]string{"cis.io/node": "n1"}
	c := newCis(api.SecurityGroup{Name: "pods", Ingress: []api.Rule{{Protocol: api.ProtocolTCP}}}, api.SecurityGroup{Name: "pods-1", Labels: mine},
		api.SecurityGroup{Name: "pods-2", Labels: map[string]string{"cis.io/node": "n2"}}, api.SecurityGroup{Name: "podsother"})
	c.put(podOf("default", "web", "front", 80), "10.0.0.2", "pods-1")
	s := open(t, c)
	s.await("web<tcp pods pods podsother")
	s.apply(policyOf(t, "p", `{podSelector: {}, ingress: [{ports: [{port: 80}]}]}`))
	s.await("web<tcp:80 pods pods pods podsother")
	s.stop()
	s.apply(policyOf(t, "p", `{podSelector: {}, ingress: [{ports: [{port: 81}]}]}`))
	s.start()
	s.await("web<tcp:81 pods pods pods podsother")
	s.stop()
	before := c.writes
	s.start()
	s.cis.put(podOf("default", "web2", "front", 80), "10.0.0.4", "pods") // which shows that it has looked
	s.groups.Poke()
	s.await("web2<tcp:81 web<tcp:81 pods pods pods podsother")
	if n := c.writes - before; n > 0 {
		t.Errorf("%d writes of what is so already", n)
	}
}

// TestHold: the group of a pod that is to be made is there first, and stays while it is.
func TestHold(t *testing.T) {
	s := open(t, newCis(), policyOf(t, "p", `{podSelector: {}}`))
	name, release, err := s.groups.Hold(t.Context(), podOf("default", "web", "front", 80))
	if err != nil || !strings.HasPrefix(name, "pods-") {
		t.Fatal(name, err)
	}
	s.groups.Poke()
	s.await("pods")
	s.cis.mu.Lock()
	delete(s.cis.groups, name) // by hand
	s.cis.mu.Unlock()
	release(api.Errorf(api.NotFound, "there is no security group %s", name))
	again, release, err := s.groups.Hold(t.Context(), podOf("default", "web", "front", 80))
	if err != nil || again != name {
		t.Fatal(again, err)
	}
	s.await("pods")
	release(nil)
	s.await("")
}

// TestRetry: what failed is tried again.
func TestRetry(t *testing.T) {
	c := newCis()
	c.put(podOf("default", "web", "front", 80), "10.0.0.2", "default")
	s := open(t, c, policyOf(t, "p", `{podSelector: {}}`))
	s.await("web< pods")
	c.mu.Lock()
	c.refuses = c.instances["web"].Spec.Network.SecurityGroups[0]
	c.mu.Unlock()
	s.apply(policyOf(t, "p", `{podSelector: {}, ingress: [{ports: [{port: 81}]}]}`))
	s.await("web<tcp:81 pods")
}

// TestLeft: a group that an instance without a pod is in goes when that has ended, though
// nobody tells.
func TestLeft(t *testing.T) {
	c := newCis(api.SecurityGroup{Name: "pods-1", Labels: map[string]string{"cis.io/node": "n1"}})
	c.put(podOf("default", "gone", "front", 80), "10.0.0.2", "pods-1")
	delete(c.pods, "gone")
	s := open(t, c)
	c.put(podOf("default", "web", "front", 80), "10.0.0.4", "default")
	s.groups.Poke()
	s.await("gone< web<any pods pods")
	c.remove("gone")
	s.await("web<any pods")
}

// TestEvents: a policy is told once what of it is not in force.
func TestEvents(t *testing.T) {
	c := newCis()
	c.put(podOf("default", "web", "front", 80), "10.0.0.2", "default")
	s := open(t, c, policyOf(t, "p", `{podSelector: {}, ingress: [{ports: [{port: 81, protocol: SCTP}]}]}`))
	s.await("web< pods")
	c.put(podOf("default", "db", "back", 80), "10.0.0.3", "default")
	s.groups.Poke()
	s.await("db< web< pods")
	s.stop()
	close(s.events.Events)
	var all []string
	for e := range s.events.Events {
		all = append(all, e)
	}
	if len(all) != 1 || !strings.HasPrefix(all[0], "Warning PartlyInForce spec.ingress[0].ports[0].protocol: SCTP") {
		t.Errorf("%q", all)
	}
}
