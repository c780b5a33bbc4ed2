// Package join is how the node proves to the cluster who it is, and how its server
// proves it to callers: by files, or by certificates that the cluster signs and that
// are renewed in time.
package join

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/certificate"
)

// Options say by what the node joins.
type Options struct {
	// Kubeconfig of the node itself. With Bootstrap it may be empty.
	Kubeconfig string
	// Bootstrap is a kubeconfig whose user may ask for the node's certificate.
	Bootstrap string
	// CertDir keeps the certificates that the cluster signed.
	CertDir string
	Node    string
}

// Config returns the client configuration of the node. With a bootstrap kubeconfig it
// waits until the cluster has signed a certificate, which is renewed until ctx ends.
func Config(ctx context.Context, o Options) (*rest.Config, error) {
	path := o.Bootstrap
	if path == "" {
		path = o.Kubeconfig
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig %s: %w", path, err)
	}
	// A watch and a handful of writes for each pod: what the API server allows is its to say.
	config.QPS, config.UserAgent = -1, "cis-kubelet"
	if o.Bootstrap == "" {
		return config, nil
	}
	return o.signed(ctx, config)
}

// signed has the cluster sign the node's own certificate, and uses that.
func (o Options) signed(ctx context.Context, bootstrap *rest.Config) (*rest.Config, error) {
	store, err := o.store("client")
	if err != nil {
		return nil, err
	}
	var manager certificate.Manager
	transport, err := newRenewing(rest.AnonymousClientConfig(bootstrap), func() *tls.Certificate { return manager.Current() })
	if err != nil {
		return nil, err
	}
	own := &rest.Config{Host: bootstrap.Host, APIPath: bootstrap.APIPath, QPS: -1, UserAgent: bootstrap.UserAgent, Transport: transport}
	manager, err = certificate.NewManager(&certificate.Config{
		ClientsetFn: func(current *tls.Certificate) (kubernetes.Interface, error) {
			if current == nil {
				return kubernetes.NewForConfig(bootstrap)
			}
			return kubernetes.NewForConfig(own)
		},
		SignerName:       certificatesv1.KubeAPIServerClientKubeletSignerName,
		Template:         &x509.CertificateRequest{Subject: o.subject()},
		Usages:           []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth},
		CertificateStore: store,
	})
	if err != nil {
		return nil, fmt.Errorf("keep the client certificate: %w", err)
	}
	run(ctx, manager)
	for manager.Current() == nil {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the node's certificate: %w", context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
	return own, nil
}

func (o Options) subject() pkix.Name {
	return pkix.Name{CommonName: "system:node:" + o.Node, Organization: []string{"system:nodes"}}
}

func (o Options) store(use string) (certificate.FileStore, error) {
	if err := os.MkdirAll(o.CertDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the certificates' directory: %w", err)
	}
	store, err := certificate.NewFileStore("cis-kubelet-"+use, o.CertDir, o.CertDir, "", "")
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", filepath.Join(o.CertDir, use), err)
	}
	return store, nil
}

func run(ctx context.Context, manager certificate.Manager) {
	manager.Start()
	context.AfterFunc(ctx, manager.Stop)
}

// Serving returns the certificate of the node's server as crypto/tls asks for it: the
// cluster's, once somebody has approved the request for it.
func Serving(ctx context.Context, o Options, kube kubernetes.Interface, addresses []net.IP) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	store, err := o.store("server")
	if err != nil {
		return nil, err
	}
	manager, err := certificate.NewManager(&certificate.Config{
		ClientsetFn: func(*tls.Certificate) (kubernetes.Interface, error) { return kube, nil },
		SignerName:  certificatesv1.KubeletServingSignerName,
		Template:    &x509.CertificateRequest{Subject: o.subject(), DNSNames: []string{o.Node}, IPAddresses: addresses},
		Usages:      []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageServerAuth},

		CertificateStore: store,
	})
	if err != nil {
		return nil, fmt.Errorf("keep the server's certificate: %w", err)
	}
	run(ctx, manager)
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		if current := manager.Current(); current != nil {
			return current, nil
		}
		return nil, fmt.Errorf("the cluster has not signed the node's serving certificate yet: approve it with kubectl certificate approve")
	}, nil
}
