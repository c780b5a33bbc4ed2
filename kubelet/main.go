// Command cis-kubelet joins a Kubernetes cluster as a virtual node whose pods are cis instances.
// It needs a kubeconfig and a cis endpoint, and keeps nothing of its own but
// certificates.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"

	"cis-kubelet/internal/disks"
	"cis-kubelet/internal/join"
	"cis-kubelet/internal/node"
	"cis-kubelet/internal/pods"
	"cis-kubelet/internal/policy"
	"cis-kubelet/internal/pressure"
	"cis-kubelet/internal/server"
	"cis-kubelet/internal/services"
)

// version of cis, set when it is built.
var version = "dev"

// kubeletVersion is that of the Kubernetes whose kubelet we stand for.
const kubeletVersion = "v1.37.2"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "cis-kubelet:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	c, err := parse(args)
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	cis, err := c.client()
	if err != nil {
		return err
	}
	defer cis.Close()
	rest, err := join.Config(ctx, c.join)
	if err != nil {
		return err
	}
	kube, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return fmt.Errorf("make the client of the cluster: %w", err)
	}
	ip, err := c.address(ctx, rest.Host)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.listen)
	if err != nil {
		return fmt.Errorf("listen for the API server: %w", err)
	}
	defer listener.Close()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	n := node.New(node.Config{
		Kube: kube, Info: cis.Info, Images: cis.Images, Log: logger, Name: c.join.Node, Addresses: []string{ip}, Port: portOf(listener),
		Labels: c.labels, Taints: c.taints, CPU: c.cpu, Memory: c.memory, Storage: c.storage, Pods: c.pods, Version: kubeletVersion + "-cis-" + version,
	})
	if err := n.Learn(ctx); err != nil {
		return err
	}
	// Whoever approves the serving certificate looks for its addresses in the node's status.
	if err := n.Register(ctx); err != nil {
		return err
	}
	recorder, flush := events(ctx, kube, c.join.Node)
	defer flush()
	// What is of the whole cluster is watched once, and by all parts from their making on.
	cluster := informers.NewSharedInformerFactory(kube, 0)
	defer cluster.Shutdown()
	groups := policy.New(policy.Config{Cis: cis, Recorder: recorder, Log: logger, Cluster: cluster, Node: c.join.Node, DNS: c.serviceCIDR.IsValid()})
	storage := disks.New(disks.Config{Kube: kube, Cis: cis, Recorder: recorder, Log: logger, Node: c.join.Node})
	controller := pods.New(pods.Config{
		Kube: kube, Cis: cis, Recorder: recorder, Log: logger, Cluster: cluster, Groups: groups, Node: c.join.Node, HostIPs: []string{ip}, DNS: c.dns,
		Host: n.Host, Connected: n.Connected, GrowDisk: storage.Grow,
	})
	tls, ca, err := c.tls(ctx, kube, ip)
	if err != nil {
		return err
	}
	s := server.Server{Pods: controller, Cis: cis, Node: c.join.Node, Log: logger,
		Auth: &server.ClusterAuth{Kube: kube, Node: c.join.Node, ClientCA: ca}}
	web := &http.Server{Handler: s.Handler(), TLSConfig: tls, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(os.Stderr, "", 0)}
	// SPDY takes a connection over, which HTTP/2 has no way for.
	web.Protocols = new(http.Protocols)
	web.Protocols.SetHTTP1(true)
	var parts sync.WaitGroup
	part := func(run func() error) {
		parts.Go(func() {
			if err := run(); err != nil && !errors.Is(err, http.ErrServerClosed) {
				fail(err)
			}
		})
	}
	part(func() error { n.Run(ctx); return nil })
	part(func() error { n.KeepLease(ctx); return nil })
	shortages := pressure.New(pressure.Config{Info: cis.Info, Stats: cis.Stats, Pods: controller, Thresholds: c.thresholds, Transition: c.transition, MaxGrace: c.evictionGrace,
		Tell: n.Pressed, Log: logger})
	part(func() error { shortages.Run(ctx); return nil })
	if c.serviceCIDR.IsValid() {
		entry := services.New(services.Config{Kube: kube, Cis: cis, Recorder: recorder, Log: logger, Cluster: cluster,
			Node: c.join.Node, CIDR: c.serviceCIDR.String()})
		part(func() error { return entry.Run(ctx) })
	}
	cluster.Start(ctx.Done())
	part(func() error { return groups.Run(ctx, controller) })
	part(func() error { return controller.Run(ctx) })
	part(func() error { return storage.Run(ctx) })
	part(func() error { return web.ServeTLS(listener, "", "") })
	<-ctx.Done()
	_ = web.Close()
	parts.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func portOf(l net.Listener) int32 {
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		return int32(a.Port)
	}
	return 0
}

// events records those of the pods.
func events(ctx context.Context, kube kubernetes.Interface, node string) (record.EventRecorder, func()) {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: kube.CoreV1().Events("")})
	return broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "kubelet", Host: node}), broadcaster.Shutdown
}
