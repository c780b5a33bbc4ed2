// Package pki makes the keys, certificates and kubeconfigs of a control plane in a
// directory, and renews them. It can be killed at any step: what is there whole is
// kept, what is missing, half, damaged or near its end is made. It never replaces the
// key of an authority or of service accounts, and talks to no one.
package pki

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"cis/kube/internal/durable"
)

// The files of a directory, without .key and .crt where it is a pair.
const (
	CA                = "ca"
	FrontProxyCA      = "front-proxy-ca"
	FrontProxyClient  = "front-proxy-client"
	ServiceAccount    = "sa"
	APIServer         = "apiserver"
	KubeletClient     = "apiserver-kubelet-client"
	ControllerManager = "controller-manager"
	Scheduler         = "scheduler"
	Kubelet           = "kubelet"
	MetricsServer     = "metrics-server"
)

// The kubeconfigs of a directory.
const (
	AdminConfig             = "admin.conf"
	ControllerManagerConfig = "controller-manager.conf"
	SchedulerConfig         = "scheduler.conf"
	KubeProxyConfig         = "kube-proxy.conf"
	CoreDNSConfig           = "coredns.conf"
	KubeletConfig           = "kubelet.conf"
	MetricsServerConfig     = "metrics-server.conf"
)

// Users that Kubernetes itself does not know.
const (
	// KubeletClientUser is who the API server is towards kubelets.
	KubeletClientUser = "kube-apiserver-kubelet-client"
	// CoreDNSUser is who a cluster's DNS is.
	CoreDNSUser = "cis:coredns"
	// MetricsServerUser is who metrics-server is.
	MetricsServerUser = "cis:metrics-server"
)

// Config is what certificates and kubeconfigs depend on.
type Config struct {
	// Dir takes the files; it is made, for its owner only.
	Dir string
	// Server is the URL at which this host's clients find the API server.
	Server string
	// PodServer is the URL for what runs where the pods are; empty: Server.
	PodServer string
	// Node is the name of the node on this host, and NodeIP where it serves; "": there is
	// none.
	Node   string
	NodeIP net.IP
	// MetricsIP is where metrics-server serves; nil: there is none.
	MetricsIP net.IP
	// Names and IPs of the API server, beside localhost and those every cluster has.
	Names []string
	IPs   []net.IP
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Result is what Ensure found and did.
type Result struct {
	// Renewed are the files that were written, the first time too.
	Renewed []string
	// Renewal is when the next one is due.
	Renewal time.Time
	// Expires lists the end of each certificate, the earliest first.
	Expires []Expiry
}

// Expiry is when the certificate in a file ends.
type Expiry struct {
	File string    `json:"file"`
	Time time.Time `json:"time"`
}

// Ensure makes and renews all files. An error names the file that stands in the way.
func Ensure(c Config) (*Result, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, err
	}
	if err := durable.Sweep(c.Dir); err != nil {
		return nil, err
	}
	var r Result
	ca, err := r.authority(c, CA, "kubernetes")
	if err != nil {
		return nil, err
	}
	front, err := r.authority(c, FrontProxyCA, "front-proxy")
	if err != nil {
		return nil, err
	}
	if err := ensureServiceAccount(c.Dir); err != nil {
		return nil, err
	}
	for _, p := range wantedPairs(c, ca, front) {
		cert, renewed, err := p.by.ensure(filepath.Join(c.Dir, p.file), p.leaf)
		if err := r.note(p.file+".crt", cert, renewed, err); err != nil {
			return nil, err
		}
	}
	for _, k := range wantedKubeconfigs(c) {
		cert, renewed, err := ca.ensureKubeconfig(filepath.Join(c.Dir, k.file), k.server, k.leaf)
		if err := r.note(k.file, cert, renewed, err); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(r.Expires, func(a, b Expiry) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.File, b.File)) })
	return &r, nil
}

func (r *Result) authority(c Config, file, name string) (*authority, error) {
	a, renewed, err := loadAuthority(c.Dir, file, name, c.Now)
	if err != nil {
		return nil, fmt.Errorf("authority %s: %w", file, err)
	}
	return a, r.note(file+".crt", a.cert, renewed, nil)
}

func (r *Result) note(file string, cert *x509.Certificate, renewed bool, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if renewed {
		r.Renewed = append(r.Renewed, file)
	}
	if at := renewal(cert); r.Renewal.IsZero() || at.Before(r.Renewal) {
		r.Renewal = at
	}
	r.Expires = append(r.Expires, Expiry{file, cert.NotAfter})
	return nil
}

// ensureServiceAccount sees to the key that signs service accounts' tokens, and its
// public half.
func ensureServiceAccount(dir string) error {
	path := filepath.Join(dir, ServiceAccount)
	key, err := loadKey(path + ".key")
	if err != nil {
		return err
	}
	public, err := encodePublic(&key.PublicKey)
	if err != nil {
		return err
	}
	if old, err := readFile(path + ".pub"); err != nil || string(old) == string(public) {
		return err
	}
	return durable.WriteFile(path+".pub", public)
}
