package pods

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/record"

	"cis-kubelet/internal/translate"
	"cis/api"
)

// cis is one that runs nothing: tests say what becomes of its instances.
type cis struct {
	mu        sync.Mutex
	revision  int64
	instances map[string]api.Instance
	secrets   map[string]api.Secret
	watchers  []chan api.WatchEvent[api.Instance]
	calls     []string
	// failures come first out of Create.
	failures []error
	// refusals come first out of Resize.
	refusals []error
}

func newCis() *cis {
	return &cis{revision: 1, instances: map[string]api.Instance{}, secrets: map[string]api.Secret{}}
}

func (c *cis) called(what string) { c.calls = append(c.calls, what) }

func (c *cis) put(kind string, in api.Instance) api.Instance {
	c.revision++
	in.Revision = c.revision
	c.instances[in.ID] = in
	if kind == api.WatchDeleted {
		delete(c.instances, in.ID)
	}
	for _, w := range c.watchers {
		w <- api.WatchEvent[api.Instance]{Type: kind, Object: in}
	}
	return in
}

func (c *cis) Create(_ context.Context, req api.CreateInstance) (api.Instance, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.called("create")
	if len(c.failures) > 0 {
		err := c.failures[0]
		c.failures = c.failures[1:]
		return api.Instance{}, err
	}
	return c.put(api.WatchAdded, api.Instance{ID: "i-" + req.Name, Spec: req.InstanceSpec, Status: api.InstanceStatus{Phase: api.PhasePending}}), nil
}

func (c *cis) AddContainer(_ context.Context, ref string, e api.EphemeralContainer) (api.Instance, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.called("add " + e.Name + " to " + e.TargetContainerName)
	in := c.instances[ref]
	in.Spec.EphemeralContainers = append(slices.Clip(in.Spec.EphemeralContainers), e)
	in.Status.EphemeralContainerStatuses = append(slices.Clip(in.Status.EphemeralContainerStatuses), api.ContainerStatus{
		Name: e.Name, Ready: true, State: api.ContainerState{Running: &api.StateRunning{StartedAt: time.Now()}}})
	return c.put(api.WatchModified, in), nil
}

func (c *cis) Resize(_ context.Context, ref string, r api.InstanceResize) (api.Instance, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.called(fmt.Sprintf("resize %s %s", r.CPU, r.Memory))
	for _, of := range r.Containers {
		c.called(fmt.Sprintf("of %s %s %s %t", of.Name, of.Resources.Limits.CPU, of.Resources.Limits.Memory, of.Restart))
	}
	if len(c.refusals) > 0 {
		err := c.refusals[0]
		c.refusals = c.refusals[1:]
		return api.Instance{}, err
	}
	in := c.instances[ref]
	in.Spec = r.Apply(in.Spec, api.Defaults{})
	return c.put(api.WatchModified, in), nil
}

func (c *cis) Get(_ context.Context, ref string) (api.Instance, error) {
	return api.Instance{}, api.Errorf(api.NotFound, "none")
}

func (c *cis) List(context.Context, api.ListOptions) (page api.List[api.Instance], err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, in := range c.instances {
		page.Items = append(page.Items, in)
	}
	page.Revision = c.revision
	return page, nil
}

func (c *cis) Watch(ctx context.Context, _ api.ListOptions, _ int64, fn func(api.WatchEvent[api.Instance]) error) error {
	events := make(chan api.WatchEvent[api.Instance], 100)
	c.mu.Lock()
	c.watchers = append(c.watchers, events)
	c.mu.Unlock()
	for {
		select {
		case ev := <-events:
			if err := fn(ev); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *cis) WatchEvents(ctx context.Context, _ api.EventOptions, _ func(api.Event) error) error {
	<-ctx.Done()
	return ctx.Err()
}

func (c *cis) Stop(_ context.Context, ref string, grace *time.Duration) (api.Instance, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.called("stop " + grace.String())
	in := c.instances[ref]
	in.Status.Phase, in.Status.Reason = api.PhaseFailed, api.ReasonStopped
	in.Status.ContainerStatuses = []api.ContainerStatus{{Name: "a", State: api.ContainerState{Terminated: &api.StateTerminated{ExitCode: 143, Reason: "Stopped"}}}}
	return c.put(api.WatchModified, in), nil
}

func (c *cis) Remove(_ context.Context, ref string, _ bool, grace *time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.called("remove")
	c.put(api.WatchDeleted, c.instances[ref])
	return nil
}

func (c *cis) PutSecret(_ context.Context, s api.Secret) (api.Secret, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.secrets[s.Name] = s
	return s, nil
}

func (c *cis) Secrets(context.Context) (out []api.Secret, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.secrets {
		out = append(out, s)
	}
	return out, nil
}

func (c *cis) RemoveSecret(_ context.Context, name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.secrets, name)
	return nil
}

// becomes changes the only instance.
func (c *cis) becomes(change func(*api.Instance)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, in := range c.instances {
		change(&in)
		c.put(api.WatchModified, in)
	}
}

// scene is a controller between a fake cluster and a fake cis.
type scene struct {
	*testing.T
	kube   *fake.Clientset
	cis    *cis
	events *record.FakeRecorder
}

func start(t *testing.T, c *cis, pods ...*corev1.Pod) *scene {
	s := &scene{t, fake.NewClientset(), c, record.NewFakeRecorder(100)}
	for _, pod := range pods {
		s.create(pod)
	}
	cluster := informers.NewSharedInformerFactory(s.kube, 0)
	k := New(Config{Kube: s.kube, Cis: c, Recorder: s.events, Log: slog.New(slog.DiscardHandler), Cluster: cluster, Groups: oneGroup{},
		Node: "n1", HostIPs: []string{"192.0.2.1"},
		Host: func() (api.Size, api.CPU, api.Bytes) { return api.Size{}, 0, 0 }, Connected: func(error) {}})
	ctx, cancel := context.WithCancel(t.Context())
	cluster.Start(ctx.Done())
	done := make(chan error)
	go func() { done <- k.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// oneGroup is for all pods.
type oneGroup struct{}

func (oneGroup) Hold(context.Context, *corev1.Pod) (string, func(error), error) {
	return "pods", func(error) {}, nil
}
func (oneGroup) Poke() {}

func newPod() *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "default", UID: "u-1", Generation: 1, ResourceVersion: "1"},
		Spec: corev1.PodSpec{NodeName: "n1", RestartPolicy: corev1.RestartPolicyAlways, Containers: []corev1.Container{{Name: "a", Image: "i"}}}}
}

func (s *scene) create(pod *corev1.Pod) {
	s.Helper()
	if _, err := s.kube.CoreV1().Pods(pod.Namespace).Create(s.Context(), pod, metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
}

func (s *scene) pod() *corev1.Pod {
	pod, err := s.kube.CoreV1().Pods("default").Get(s.Context(), "p", metav1.GetOptions{})
	if err != nil {
		return nil
	}
	return pod
}

func (s *scene) eventually(what string, holds func() bool) {
	s.Helper()
	for range 6000 {
		if holds() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.cis.mu.Lock()
	defer s.cis.mu.Unlock()
	s.Fatalf("%s: calls %v, pod %+v", what, s.cis.calls, s.pod())
}

func (s *scene) phase(want corev1.PodPhase) {
	s.Helper()
	s.eventually("phase "+string(want), func() bool { pod := s.pod(); return pod != nil && pod.Status.Phase == want })
}

func (c *cis) has(call string) func() bool {
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return slices.Contains(c.calls, call)
	}
}

func runs(in *api.Instance) {
	in.Status = api.InstanceStatus{Phase: api.PhaseRunning, Address: "10.0.0.9", ContainerStatuses: []api.ContainerStatus{{Name: "a", Ready: true,
		State: api.ContainerState{Running: &api.StateRunning{StartedAt: time.Now()}}}}}
}

func TestLife(t *testing.T) {
	s := start(t, newCis())
	s.create(newPod())
	s.eventually("an instance", s.cis.has("create"))
	s.cis.becomes(runs)
	s.phase(corev1.PodRunning)
	s.eventually("the address", func() bool { return s.pod().Status.PodIP == "10.0.0.9" })

	// A deletion as the API server begins it: it waits for the node.
	pod := s.pod()
	pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds, pod.ResourceVersion = new(metav1.Now()), new(int64(7)), "100"
	if _, err := s.kube.CoreV1().Pods("default").Update(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.eventually("a stop with the pod's grace", s.cis.has("stop 7s"))
	s.eventually("the pod's end", func() bool { return s.pod() == nil })
	s.eventually("the removal", s.cis.has("remove"))
}

func TestRefused(t *testing.T) {
	pod := newPod()
	pod.Spec.HostNetwork = true
	s := start(t, newCis(), pod)
	s.eventually("an event", func() bool {
		select {
		case ev := <-s.events.Events:
			return strings.Contains(ev, "Refused") && strings.Contains(ev, "spec.hostNetwork")
		default:
			return false
		}
	})
	s.phase(corev1.PodPending)
	s.eventually("why it waits", func() bool {
		c := s.pod().Status.ContainerStatuses
		return len(c) == 1 && c[0].State.Waiting != nil && strings.Contains(c[0].State.Waiting.Message, "spec.hostNetwork")
	})
	if s.cis.has("create")() {
		t.Error("an instance was made")
	}
}

func TestNoRoomYet(t *testing.T) {
	c := newCis()
	c.failures = []error{api.Errorf(api.Exhausted, "no cpu is left"), api.Errorf(api.Unavailable, "later")}
	s := start(t, c, newPod())
	s.eventually("the third try", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.calls) == 3 && len(c.instances) == 1
	})
	s.cis.becomes(runs)
	s.phase(corev1.PodRunning)
}

func TestInstanceRemoved(t *testing.T) {
	s := start(t, newCis(), newPod())
	s.eventually("an instance", s.cis.has("create"))
	s.cis.becomes(runs)
	s.phase(corev1.PodRunning)
	for id := range s.cis.instances {
		_ = s.cis.Remove(t.Context(), id, true, nil)
	}
	s.phase(corev1.PodFailed)
}

// TestRemovedBefore: the client token tells that the pod had an instance, which is gone.
func TestRemovedBefore(t *testing.T) {
	used := api.Errorf(api.Conflict, "this client token made an instance, which has been removed")
	used.Field = "clientToken"
	c := newCis()
	c.failures = []error{used}
	start(t, c, newPod()).phase(corev1.PodFailed)
}

// TestAuthorizerLags: what is forbidden at first is asked for again.
func TestAuthorizerLags(t *testing.T) {
	pod := newPod()
	pod.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "c"}}}}
	s := start(t, newCis())
	tries := 0
	s.kube.PrependReactor("get", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
		if tries++; tries < 3 {
			return true, nil, apierrors.NewForbidden(corev1.Resource("configmaps"), "c", errors.New("no relationship found"))
		}
		return true, &corev1.ConfigMap{Data: map[string]string{"k": "v"}}, nil
	})
	s.create(pod)
	s.eventually("an instance", s.cis.has("create"))
	if len(s.events.Events) > 0 {
		t.Errorf("events: %s", <-s.events.Events)
	}
}

// TestAway: what changed while nobody looked is put right at the start.
func TestAway(t *testing.T) {
	c := newCis()
	labels := func(uid string) api.InstanceSpec {
		return api.InstanceSpec{Labels: map[string]string{translate.LabelNode: "n1", translate.LabelUID: uid}}
	}
	gone := api.Instance{ID: "i-gone", Spec: labels("u-0")}
	gone.Spec.Volumes = []api.Volume{{Secret: &api.SecretVolume{SecretName: "pod.n1.u-0.v"}}}
	c.put(api.WatchAdded, gone)
	kept := api.Instance{ID: "i-kept", Spec: labels("u-1")}
	runs(&kept)
	c.put(api.WatchAdded, kept)
	for _, name := range []string{"pod.n1.u-0.v", "pod.n1.u-9.v", "pod.n1.u-1.v", "pod.n2.u-0.v", "mine"} {
		c.secrets[name] = api.Secret{Name: name}
	}
	s := start(t, c, newPod())
	s.phase(corev1.PodRunning)
	s.eventually("the removal", c.has("remove"))
	s.eventually("the end of the secrets", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.secrets) == 3
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.instances) != 1 || c.instances["i-kept"].ID == "" || len(c.secrets) != 3 {
		t.Errorf("left are %v and %v", c.instances, c.secrets)
	}
	if slices.Contains(c.calls, "create") {
		t.Error("another instance was made")
	}
}
