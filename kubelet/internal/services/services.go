// Package services leads what comes from beyond the pods' VPC to the cluster's Services,
// where kube-proxy serves them in the namespace of that VPC: the VPC gets the node ports of
// the host, a public address for each Service of type LoadBalancer, and a route from the
// host to the Services' network. The package decides nothing of a Service's traffic; that
// is kube-proxy's, and the pods' security groups'.
//
// cis's record is the only one: an address carries its Service's UID, so what is left of
// Services that went while nobody looked is found and given back.
package services

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"cis/api"
)

// Cis is what is used of the client of /v1.
type Cis interface {
	VPC(ctx context.Context, ref string) (api.VPC, error)
	UpdateVPC(ctx context.Context, ref string, u api.VPCUpdate) (api.VPC, error)
	Addresses(ctx context.Context) ([]api.Address, error)
	CreateAddress(ctx context.Context, a api.Address) (api.Address, error)
	RouteAddress(ctx context.Context, ref, vpc string) (api.Address, error)
	UnbindAddress(ctx context.Context, ref string) (api.Address, error)
	RemoveAddress(ctx context.Context, ref string) error
}

// vpc is the one that pods are in.
const vpc = api.DefaultName

// Config of a controller.
type Config struct {
	Kube     kubernetes.Interface
	Cis      Cis
	Recorder record.EventRecorder
	Log      *slog.Logger
	// Cluster watches what is of the whole cluster; its owner starts it.
	Cluster informers.SharedInformerFactory
	// Node that serves the Services.
	Node string
	// CIDR is the network of the Services' own addresses.
	CIDR string
}

// Controller keeps cis up with the Services.
type Controller struct {
	Config
	services corelisters.ServiceLister
	informer cache.SharedIndexInformer
	wake     chan struct{}

	// Only Run uses these. entry is what the VPC was last given; nil: nobody knows.
	entry *entry
	// addresses of Services by UID; nil: nobody knows.
	addresses map[types.UID]api.Address
}

// New makes a controller; Run starts it.
func New(c Config) *Controller {
	all := c.Cluster.Core().V1().Services()
	return &Controller{Config: c, services: all.Lister(), informer: all.Informer(), wake: make(chan struct{}, 1)}
}

// The waits between tries that fail.
const (
	retryMin = time.Second
	retryMax = time.Minute
)

// Run works until ctx ends. What it made stays, as the Services do.
func (c *Controller) Run(ctx context.Context) error {
	changed := func(any) { c.poke() }
	registration, err := c.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: changed, UpdateFunc: func(_, obj any) { changed(obj) }, DeleteFunc: changed,
	})
	if err != nil {
		return fmt.Errorf("watch Services: %w", err)
	}
	defer func() { _ = c.informer.RemoveEventHandler(registration) }()
	if !cache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
		return nil
	}
	wait := time.Duration(0)
	for {
		var again <-chan time.Time
		if err := c.sync(ctx); err == nil {
			wait = 0
		} else if ctx.Err() == nil {
			wait = min(max(2*wait, retryMin), retryMax)
			again = time.After(wait)
			c.Log.Warn("not all Services are led to", "error", err, "again in", wait)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-c.wake:
		case <-again:
		}
	}
}

// poke has Run look again.
func (c *Controller) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *Controller) sync(ctx context.Context) error {
	all, err := c.services.List(labels.Everything())
	if err != nil {
		return fmt.Errorf("list Services: %w", err)
	}
	return errors.Join(c.syncEntry(ctx, all), c.syncAddresses(ctx, all))
}

// warn tells of a Service what it lacks.
func (c *Controller) warn(s *corev1.Service, reason string, err error) {
	c.Recorder.Event(s, corev1.EventTypeWarning, reason, err.Error())
}
