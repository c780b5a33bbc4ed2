package pods

import (
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"cis-kubelet/internal/translate"
)

// object is a config map or a secret.
type object struct {
	kind            objectKind
	namespace, name string
}

type objectKind int

const (
	configMap objectKind = iota
	secret
)

// watches follow the objects that volumes of running pods show, each by its name, as the
// node authorizer lets a node do.
type watches struct {
	kube kubernetes.Interface
	// changed is called for each pod that shows an object when it has changed.
	changed func(types.UID)

	mu  sync.Mutex
	all map[object]*watched
}

type watched struct {
	stop context.CancelFunc
	pods map[types.UID]bool
	// store has the object, if there is one, once informer has synced.
	store    cache.Store
	informer cache.Controller
}

func newWatches(kube kubernetes.Interface, changed func(types.UID)) *watches {
	return &watches{kube: kube, changed: changed, all: map[object]*watched{}}
}

// follow begins to watch what a pod's volumes show, until ctx ends or the pod is forgotten.
func (w *watches) follow(ctx context.Context, pod *corev1.Pod) {
	needs := translate.VolumeNeeds(pod)
	for name := range needs.ConfigMaps {
		w.add(ctx, object{configMap, pod.Namespace, name}, pod.UID)
	}
	for name := range needs.Secrets {
		w.add(ctx, object{secret, pod.Namespace, name}, pod.UID)
	}
}

func (w *watches) add(ctx context.Context, o object, uid types.UID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	one := w.all[o]
	if one == nil {
		one = &watched{pods: map[types.UID]bool{}}
		w.all[o] = one
		ctx, one.stop = context.WithCancel(ctx)
		one.store, one.informer = w.informer(o)
		go one.informer.RunWithContext(ctx)
	}
	one.pods[uid] = true
}

// forget ends what only this pod was followed for.
func (w *watches) forget(uid types.UID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for o, one := range w.all {
		delete(one.pods, uid)
		if len(one.pods) == 0 {
			one.stop()
			delete(w.all, o)
		}
	}
}

// held is an object as it was last seen; nil: it is not watched yet, or there is none.
func (w *watches) held(o object) any {
	w.mu.Lock()
	one := w.all[o]
	w.mu.Unlock()
	if one == nil || !one.informer.HasSynced() {
		return nil
	}
	found, _, _ := one.store.GetByKey(o.namespace + "/" + o.name) // it fails for what is no key
	return found
}

func (w *watches) informer(o object) (cache.Store, cache.Controller) {
	tell := func() {
		for _, uid := range w.podsOf(o) {
			w.changed(uid)
		}
	}
	return cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: w.source(o), ObjectType: o.kind.example(),
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { tell() }, UpdateFunc: func(any, any) { tell() }, DeleteFunc: func(any) { tell() },
		},
	})
}

func (w *watches) podsOf(o object) (uids []types.UID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if one := w.all[o]; one != nil {
		for uid := range one.pods {
			uids = append(uids, uid)
		}
	}
	return uids
}

func (k objectKind) example() runtime.Object {
	if k == configMap {
		return &corev1.ConfigMap{}
	}
	return &corev1.Secret{}
}

func (w *watches) source(o object) cache.ListerWatcher {
	only := func(opts metav1.ListOptions) metav1.ListOptions {
		opts.FieldSelector = fields.OneTermEqualSelector("metadata.name", o.name).String()
		return opts
	}
	core := w.kube.CoreV1()
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			if o.kind == configMap {
				return core.ConfigMaps(o.namespace).List(ctx, only(opts))
			}
			return core.Secrets(o.namespace).List(ctx, only(opts))
		},
		WatchFuncWithContext: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			if o.kind == configMap {
				return core.ConfigMaps(o.namespace).Watch(ctx, only(opts))
			}
			return core.Secrets(o.namespace).Watch(ctx, only(opts))
		},
	}, w.kube)
}
