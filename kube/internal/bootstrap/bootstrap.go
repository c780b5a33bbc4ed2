// Package bootstrap makes the objects without which a new cluster has no nodes: who may
// join, where the cluster is, the endpoint of the Service kubernetes, join tokens, and
// the approval of nodes' serving certificates. It owns what it applies (field manager
// cis-kube), and leaves everything else alone.
package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"cis/kube/internal/home"
	"cis/kube/internal/pki"
	"cis/kube/internal/plane"
)

const (
	fieldManager = "cis-kube"
	// NodeGroup is who comes with a join token.
	NodeGroup = "system:bootstrappers:cis:nodes"
	// Namespaces of a new cluster come moments after its API.
	retryInterval = 100 * time.Millisecond
	patience      = 30 * time.Second
	// What somebody has removed or changed is put right at this interval.
	keepInterval = time.Minute
)

// Bootstrap is a plane.Bootstrap.
type Bootstrap struct{}

// Client is one for a data directory's administrator.
func Client(dataDir string) (kubernetes.Interface, error) {
	config, err := clientConfig(dataDir)
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

func clientConfig(dataDir string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", home.PKI(dataDir, pki.AdminConfig))
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = 100, 200
	return rest.AddUserAgent(config, fieldManager), nil
}

// Ensure makes the objects.
func (Bootstrap) Ensure(ctx context.Context, p *plane.Plane) error {
	config, err := clientConfig(p.DataDir)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	// For objects whose types are no part of client-go.
	others, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		if err = apply(ctx, client, others, p); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(retryInterval):
		}
	}
}

func apply(ctx context.Context, client kubernetes.Interface, others dynamic.Interface, p *plane.Plane) error {
	info, err := clusterInfo(p)
	if err != nil {
		return err
	}
	return errors.Join(
		applyRoles(ctx, client),
		applyPolicyRole(ctx, client),
		applyClusterInfo(ctx, client, info),
		applyEndpoint(ctx, client, p.Endpoint()),
		applyDNS(ctx, client, p.DNSIP()),
		applyDNSEndpoint(ctx, client, p.Services),
		applyRuntimeClasses(ctx, client),
		applyDisks(ctx, client),
		applyServicesRole(ctx, client, p),
		applyMetrics(ctx, client, others, p),
	)
}

// Keep puts the objects right from time to time, and approves serving certificates.
func (b Bootstrap) Keep(ctx context.Context, p *plane.Plane) {
	client, err := Client(p.DataDir)
	if err != nil {
		p.Log("bootstrap", err)
		return
	}
	var approving sync.WaitGroup
	defer approving.Wait()
	approving.Go(func() {
		approveServing(ctx, client, func(err error) { p.Log("approve certificates", err) })
	})
	tick := time.NewTicker(keepInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := b.Ensure(ctx, p); err != nil && ctx.Err() == nil {
				p.Log("bootstrap", fmt.Errorf("keep the cluster's objects: %w", err))
			}
		}
	}
}
