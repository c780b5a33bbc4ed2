// Package disks makes volumes of a cluster out of disks of cis. A claim for a disk whose
// pod is to run on this node gets one here, with a volume that names it; a volume that is
// done with goes, and its disk with it, if that is its policy; a disk grows when its claim
// does and no pod has it.
//
// A disk has the name of its volume and says for which claim it was made, so that what was
// cut off is found again and nothing is made twice. What has become a volume is removed as
// a volume alone, never because something seems to be missing.
package disks

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"

	"cis/api"
)

// Cis is what is used of the client of /v1.
type Cis interface {
	Disks(ctx context.Context) ([]api.Disk, error)
	Disk(ctx context.Context, ref string) (api.Disk, error)
	CreateDisk(ctx context.Context, d api.Disk) (api.Disk, error)
	UpdateDisk(ctx context.Context, ref string, u api.DiskUpdate) (api.Disk, error)
	RemoveDisk(ctx context.Context, ref string) error
}

// Config of a controller.
type Config struct {
	Kube     kubernetes.Interface
	Cis      Cis
	Recorder record.EventRecorder
	Log      *slog.Logger
	// Node's name.
	Node string
}

// Controller of the node's disks.
type Controller struct {
	Config
	factory informers.SharedInformerFactory
	claims  corelisters.PersistentVolumeClaimLister
	volumes corelisters.PersistentVolumeLister
	classes storagelisters.StorageClassLister
	queue   workqueue.TypedRateLimitingInterface[item]
}

// item is something to look at: a claim, a volume, or, without a name, disks without either.
type item struct{ kind, namespace, name string }

const (
	claimKind  = "claim"
	volumeKind = "volume"
	sweepKind  = "sweep"
)

// Waits after a failure.
const (
	retryMin = 500 * time.Millisecond
	retryMax = time.Minute
)

// New makes a controller; Run starts it.
func New(c Config) *Controller {
	f := informers.NewSharedInformerFactory(c.Kube, 0)
	return &Controller{
		Config: c, factory: f,
		claims: f.Core().V1().PersistentVolumeClaims().Lister(), volumes: f.Core().V1().PersistentVolumes().Lister(),
		classes: f.Storage().V1().StorageClasses().Lister(),
		queue:   workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[item](retryMin, retryMax)),
	}
}

// Run works until ctx ends. Where the cluster does not let the node see volumes it waits
// for that.
func (k *Controller) Run(ctx context.Context) error {
	claims, volumes := k.factory.Core().V1().PersistentVolumeClaims().Informer(), k.factory.Core().V1().PersistentVolumes().Informer()
	if err := k.follow(claims, claimKind); err != nil {
		return fmt.Errorf("watch claims: %w", err)
	}
	if err := k.follow(volumes, volumeKind); err != nil {
		return fmt.Errorf("watch volumes: %w", err)
	}
	k.factory.Start(ctx.Done())
	defer k.factory.Shutdown()
	for _, ok := range k.factory.WaitForCacheSync(ctx.Done()) {
		if !ok {
			return nil
		}
	}
	var working sync.WaitGroup
	working.Go(func() {
		for k.next(ctx) {
		}
	})
	k.queue.Add(item{kind: sweepKind})
	<-ctx.Done()
	k.queue.ShutDown()
	working.Wait()
	return nil
}

func (k *Controller) follow(informer cache.SharedIndexInformer, kind string) error {
	look := func(obj any) {
		key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj)
		if err != nil {
			return // it is no object
		}
		namespace, name, err := cache.SplitMetaNamespaceKey(key)
		if err == nil {
			k.queue.Add(item{kind, namespace, name})
		}
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: look, UpdateFunc: func(_, obj any) { look(obj) },
		DeleteFunc: func(obj any) {
			if kind == claimKind {
				k.queue.Add(item{kind: sweepKind})
			}
		}})
	return err
}

// next does one thing; it is false at the end.
func (k *Controller) next(ctx context.Context) bool {
	at, over := k.queue.Get()
	if over {
		return false
	}
	defer k.queue.Done(at)
	err := k.do(ctx, at)
	if err == nil {
		k.queue.Forget(at)
		return true
	}
	if ctx.Err() == nil {
		k.Log.Warn("a disk's step failed", at.kind, strings.TrimPrefix(at.namespace+"/"+at.name, "/"), "error", err)
		k.queue.AddRateLimited(at)
	}
	return true
}

func (k *Controller) do(ctx context.Context, at item) error {
	switch at.kind {
	case claimKind:
		return k.claim(ctx, at.namespace, at.name)
	case volumeKind:
		return k.volume(ctx, at.name)
	}
	return k.sweep(ctx)
}

func (k *Controller) warn(about *corev1.PersistentVolumeClaim, reason, message string) {
	k.Recorder.Event(about, corev1.EventTypeWarning, reason, message)
}
