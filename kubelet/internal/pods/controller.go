// Package pods gives every pod of the node its instance, and tells the API server how
// it is. Each pod has one goroutine that takes it from where it is to its end; both
// sides are watched, and a restart begins at the same place as the first start.
package pods

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	nodelisters "k8s.io/client-go/listers/node/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"cis-kubelet/internal/translate"
	"cis/api"
)

// Config of a controller.
type Config struct {
	Kube     kubernetes.Interface
	Cis      Cis
	Recorder record.EventRecorder
	Log      *slog.Logger
	// Cluster watches what is of the whole cluster; its owner starts it.
	Cluster informers.SharedInformerFactory
	// Groups are the security groups of pods.
	Groups Groups
	// Node's name and addresses.
	Node    string
	HostIPs []string
	DNS     translate.ClusterDNS
	// Host tells what sizes are taken where a pod names none.
	Host func() (defaultSize api.Size, cpu api.CPU, memory api.Bytes)
	// Connected is told whether cis answers.
	Connected func(error)
	// GrowDisk lets the disk of a claim be as big as the claim asks for, before a pod gets it.
	GrowDisk func(context.Context, *corev1.PersistentVolumeClaim, *corev1.PersistentVolume) error
}

// Groups says in which security group a pod's instance is made, and is told of changes.
type Groups interface {
	// Hold keeps the group until release is called, with the outcome, when the instance is there.
	Hold(ctx context.Context, pod *corev1.Pod) (name string, release func(error), err error)
	Poke()
}

// Controller of the node's pods.
type Controller struct {
	Config
	instances *mirror
	watches   *watches
	pods      corelisters.PodLister
	services  corelisters.ServiceLister
	classes   nodelisters.RuntimeClassLister
	mine      informers.SharedInformerFactory
	podEvents cache.SharedIndexInformer

	mu      sync.Mutex
	workers map[types.UID]*worker
	running sync.WaitGroup
}

// New makes a controller; Run starts it.
func New(c Config) *Controller {
	mine := informers.NewSharedInformerFactoryWithOptions(c.Kube, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("spec.nodeName", c.Node).String()
	}))
	all := c.Cluster
	k := &Controller{
		Config: c, workers: map[types.UID]*worker{}, mine: mine,
		pods: mine.Core().V1().Pods().Lister(), podEvents: mine.Core().V1().Pods().Informer(),
		services: all.Core().V1().Services().Lister(), classes: all.Node().V1().RuntimeClasses().Lister(),
	}
	all.Core().V1().Services().Informer()
	all.Node().V1().RuntimeClasses().Informer()
	k.watches = newWatches(c.Kube, k.objectChanged)
	k.instances = newMirror(c.Cis, c.Node, c.Log, k.instanceChanged, c.Connected)
	return k
}

// Run works until ctx ends. Instances run on after that.
func (k *Controller) Run(ctx context.Context) error {
	defer k.running.Wait()
	k.mine.Start(ctx.Done())
	for _, f := range []informers.SharedInformerFactory{k.mine, k.Cluster} {
		for kind, ok := range f.WaitForCacheSync(ctx.Done()) {
			if !ok {
				return fmt.Errorf("watch %v: %w", kind, context.Cause(ctx))
			}
		}
	}
	k.running.Go(func() { k.instances.run(ctx) })
	select {
	case <-k.instances.listed:
	case <-ctx.Done():
		return nil
	}
	if err := k.sweep(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	registration, err := k.podEvents.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { k.podChanged(ctx, obj) },
		UpdateFunc: func(_, obj any) { k.podChanged(ctx, obj) },
		DeleteFunc: func(obj any) { k.podChanged(ctx, obj) },
	})
	if err != nil {
		return fmt.Errorf("watch pods: %w", err)
	}
	defer func() { _ = k.podEvents.RemoveEventHandler(registration) }()
	k.running.Go(func() { k.forwardEvents(ctx) })
	<-ctx.Done()
	return nil
}

// podChanged wakes the pod's worker, or makes it one.
func (k *Controller) podChanged(ctx context.Context, obj any) {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	w := k.workers[pod.UID]
	if w == nil {
		w = newWorker(k, pod)
		k.workers[pod.UID] = w
		k.running.Go(func() {
			w.run(ctx)
			k.mu.Lock()
			defer k.mu.Unlock()
			delete(k.workers, pod.UID)
		})
	}
	w.poke()
	k.Groups.Poke()
}

func (k *Controller) instanceChanged(uid types.UID) {
	k.Groups.Poke()
	k.mu.Lock()
	defer k.mu.Unlock()
	if w := k.workers[uid]; w != nil {
		w.poke()
	}
}

// sweep removes what is left in cis of pods that were deleted while nobody looked. It
// asks the API server itself, not a cache that may lag behind.
func (k *Controller) sweep(ctx context.Context) error {
	list, err := k.Kube.CoreV1().Pods("").List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("spec.nodeName", k.Node).String()})
	if err != nil {
		return fmt.Errorf("list the node's pods: %w", err)
	}
	alive := map[types.UID]bool{}
	for i := range list.Items {
		alive[list.Items[i].UID] = true
	}
	for uid, in := range k.instances.all() {
		if !alive[uid] {
			k.Log.Info("the pod is gone, its instance goes", "instance", in.ID, "pod", in.Spec.Labels[translate.LabelName])
			k.running.Go(func() { k.removeOrphan(ctx, in) })
		}
	}
	return k.sweepSecrets(ctx, alive)
}

func (k *Controller) removeOrphan(ctx context.Context, in api.Instance) {
	err := k.Cis.Remove(ctx, in.ID, true, graceOf(in.Spec.TerminationGracePeriodSeconds))
	if api.CodeOf(err) == api.NotFound {
		err = nil
	}
	for _, name := range secretsOf(in) {
		if err == nil {
			err = k.removeSecret(ctx, name)
		}
	}
	if err != nil && ctx.Err() == nil {
		k.Log.Error("remove an instance without a pod", "instance", in.ID, "error", err)
	}
}

// sweepSecrets leaves those that an instance uses: they go with it.
func (k *Controller) sweepSecrets(ctx context.Context, alive map[types.UID]bool) error {
	secrets, err := k.Cis.Secrets(ctx)
	if err != nil {
		return fmt.Errorf("list the secrets of pods: %w", err)
	}
	for _, s := range secrets {
		rest, ours := strings.CutPrefix(s.Name, translate.SecretsOf(k.Node))
		uid, _, _ := strings.Cut(rest, ".")
		if _, used := k.instances.get(types.UID(uid)); !ours || used || alive[types.UID(uid)] {
			continue
		}
		if err := k.removeSecret(ctx, s.Name); err != nil {
			k.Log.Warn("remove a secret without a pod", "secret", s.Name, "error", err)
		}
	}
	return nil
}

func (k *Controller) removeSecret(ctx context.Context, name string) error {
	err := k.Cis.RemoveSecret(ctx, name)
	if api.CodeOf(err) == api.NotFound {
		return nil
	}
	return err
}

// servicesFor are those that a pod of a namespace is told of.
func (k *Controller) servicesFor(namespace string) (out []*corev1.Service) {
	for _, ns := range []string{namespace, metav1.NamespaceDefault} {
		services, err := k.services.Services(ns).List(labels.Everything())
		if err == nil {
			out = append(out, services...)
		}
		if namespace == metav1.NamespaceDefault {
			break
		}
	}
	return out
}

// ErrNoPod: the node has no such pod.
var ErrNoPod = errors.New("pod does not exist")

// Find returns a pod of the node and its instance, for those who ask for its logs and
// programs.
func (k *Controller) Find(namespace, name string) (*corev1.Pod, api.Instance, error) {
	pod, err := k.pods.Pods(namespace).Get(name)
	if err != nil {
		return nil, api.Instance{}, ErrNoPod
	}
	in, ok := k.instances.get(pod.UID)
	if !ok {
		return pod, in, fmt.Errorf("pod %s has no instance yet", name)
	}
	return pod, in, nil
}

// Known is closed once all pods of the node, and the instances that they have, are known.
func (k *Controller) Known() <-chan struct{} { return k.instances.listed }

// Pods are all of the node.
func (k *Controller) Pods() []*corev1.Pod {
	list, _ := k.pods.List(labels.Everything())
	return list
}

// Instance of a pod, if it has one.
func (k *Controller) Instance(pod *corev1.Pod) (api.Instance, bool) { return k.instances.get(pod.UID) }
