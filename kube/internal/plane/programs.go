package plane

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"

	"cis/kube/internal/pki"
	"cis/kube/internal/supervise"
)

// A soft limit on each program's heap, and how eagerly it is collected: the programs hold
// much that lives long, so a collection at half the growth costs little and saves a lot.
var memory = map[string][]string{
	Etcd:              {"GOMEMLIMIT=512MiB", "GOGC=50"},
	APIServer:         {"GOMEMLIMIT=1536MiB", "GOGC=50"},
	ControllerManager: {"GOMEMLIMIT=512MiB", "GOGC=50"},
	Scheduler:         {"GOMEMLIMIT=512MiB", "GOGC=50"},
	Kubelet:           {"GOMEMLIMIT=256MiB"},
	KubeProxy:         {"GOMEMLIMIT=256MiB", "GOGC=50"},
	CoreDNS:           {"GOMEMLIMIT=256MiB"},
	MetricsServer:     {"GOMEMLIMIT=256MiB", "GOGC=50"},
}

// stages are the programs in their order of start.
func (p *Plane) stages() [][]supervise.Process {
	stages := [][]supervise.Process{
		{p.own(APIServer, p.apiServer)},
		{p.own(ControllerManager, p.controllerManager), p.own(Scheduler, p.scheduler)},
	}
	if len(p.External.URLs) == 0 {
		stages = append([][]supervise.Process{{p.own(Etcd, p.etcd)}}, stages...)
	}
	return stages
}

// own is one of the programs in cis-kube.
func (p *Plane) own(name string, prepare func() (supervise.Run, error)) supervise.Process {
	return p.process(name, func() (supervise.Run, error) {
		run, err := prepare()
		run.Path, run.Args = p.Program, append([]string{name}, run.Args...)
		return run, err
	})
}

// process is one of a name, with its log and what the user adds to it.
func (p *Plane) process(name string, prepare func() (supervise.Run, error)) supervise.Process {
	return supervise.Process{Name: name, Log: p.logs[name], Prepare: func() (supervise.Run, error) {
		run, err := prepare()
		run.Env = memory[name]
		run.Args = append(run.Args, p.Extra[name]...)
		return run, err
	}}
}

// etcd listens on unix sockets in the data directory only: who may not read that may
// not read the state.
func (p *Plane) etcd() (supervise.Run, error) {
	client, peer := "unix://"+p.path(etcdSocket), "unix://"+p.path(etcdPeerSocket)
	return supervise.Run{
		Address: client,
		Args: []string{
			"--name=cis",
			"--data-dir=" + p.path(etcdDir),
			"--listen-client-urls=" + client,
			"--advertise-client-urls=" + client,
			"--listen-peer-urls=" + peer,
			"--initial-advertise-peer-urls=" + peer,
			"--initial-cluster=cis=" + peer,
			"--enable-grpc-gateway=false",
			"--log-level=warn",
		},
		Ready: healthy(unixClient(p.path(etcdSocket)), "http://etcd/health"),
	}, nil
}

func (p *Plane) apiServer() (supervise.Run, error) {
	file := func(name string) string { return p.path(pkiDir, name) }
	endpoint := p.Endpoint().Addr()
	if !endpoint.IsValid() {
		endpoint = p.Listen.Addr()
	}
	args := []string{
		"--bind-address=" + p.Listen.Addr().String(),
		fmt.Sprintf("--secure-port=%d", p.Listen.Port()),
		// The endpoint of the Service kubernetes is kept by cis-kube.
		"--advertise-address=" + endpoint.String(),
		"--endpoint-reconciler-type=none",
		"--tls-cert-file=" + file(pki.APIServer+".crt"),
		"--tls-private-key-file=" + file(pki.APIServer+".key"),
		"--client-ca-file=" + file(pki.CA+".crt"),
		"--kubelet-certificate-authority=" + file(pki.CA+".crt"),
		"--kubelet-client-certificate=" + file(pki.KubeletClient+".crt"),
		"--kubelet-client-key=" + file(pki.KubeletClient+".key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + file(pki.ServiceAccount+".pub"),
		"--service-account-signing-key-file=" + file(pki.ServiceAccount+".key"),
		"--service-cluster-ip-range=" + p.ServiceCIDR.String(),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--enable-bootstrap-token-auth=true",
		"--requestheader-client-ca-file=" + file(pki.FrontProxyCA+".crt"),
		"--requestheader-allowed-names=" + pki.FrontProxyClient,
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + file(pki.FrontProxyClient+".crt"),
		"--proxy-client-key-file=" + file(pki.FrontProxyClient+".key"),
		// No kube-proxy serves this host, so Services' own addresses lead nowhere from here.
		"--enable-aggregator-routing=true",
		"--profiling=false",
	}
	return supervise.Run{
		Address: p.LocalServer(),
		Args:    append(args, p.etcdFlags()...),
		Ready:   healthy(p.httpsClient(), p.LocalServer()+"/readyz"),
	}, nil
}

func (p *Plane) etcdFlags() []string {
	e := p.External
	if len(e.URLs) == 0 {
		return []string{"--etcd-servers=unix://" + p.path(etcdSocket)}
	}
	flags := []string{"--etcd-servers=" + strings.Join(e.URLs, ",")}
	for _, f := range []struct{ flag, path string }{{"--etcd-cafile", e.CA}, {"--etcd-certfile", e.Cert}, {"--etcd-keyfile", e.Key}} {
		if f.path != "" {
			flags = append(flags, f.flag+"="+f.path)
		}
	}
	return flags
}

func (p *Plane) controllerManager() (supervise.Run, error) {
	config := p.path(pkiDir, pki.ControllerManagerConfig)
	return p.local(pki.ControllerManager, []string{
		"--kubeconfig=" + config,
		"--authentication-kubeconfig=" + config,
		"--authorization-kubeconfig=" + config,
		"--root-ca-file=" + p.path(pkiDir, pki.CA+".crt"),
		"--service-account-private-key-file=" + p.path(pkiDir, pki.ServiceAccount+".key"),
		"--use-service-account-credentials=true",
		"--cluster-signing-cert-file=" + p.path(pkiDir, pki.CA+".crt"),
		"--cluster-signing-key-file=" + p.path(pkiDir, pki.CA+".key"),
		"--controllers=*,bootstrapsigner,tokencleaner",
		"--leader-elect=false",
		// The default is a folder of the host that would be made.
		"--flex-volume-plugin-dir=" + p.path("flexvolume"),
		// The default is for API servers that many share.
		"--kube-api-qps=300", "--kube-api-burst=600",
		"--profiling=false",
	})
}

func (p *Plane) scheduler() (supervise.Run, error) {
	config := p.path(pkiDir, pki.SchedulerConfig)
	return p.local(pki.Scheduler, []string{
		"--config=" + p.path(schedulerFile),
		"--authentication-kubeconfig=" + config,
		"--authorization-kubeconfig=" + config,
	})
}

// schedulerConfig is a file because flags cannot say how many requests a second the
// scheduler may make.
func (p *Plane) schedulerConfig() []byte {
	return fmt.Appendf(nil, `apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection:
  kubeconfig: %s
  qps: 300
  burst: 600
leaderElection:
  leaderElect: false
enableProfiling: false
`, p.path(pkiDir, pki.SchedulerConfig))
}

// local completes the run of a program that serves its health and metrics on a free port
// of the loopback address, so that several control planes run side by side. Should
// another take the port at this moment, the program ends and gets another one.
func (p *Plane) local(cert string, args []string) (supervise.Run, error) {
	port, err := freePort(loopback)
	if err != nil {
		return supervise.Run{}, err
	}
	address := fmt.Sprintf("https://127.0.0.1:%d", port)
	return supervise.Run{
		Address: address,
		Args: append(args,
			"--bind-address=127.0.0.1",
			fmt.Sprintf("--secure-port=%d", port),
			"--tls-cert-file="+p.path(pkiDir, cert+".crt"),
			"--tls-private-key-file="+p.path(pkiDir, cert+".key"),
		),
		Ready: healthy(p.httpsClient(), address+"/healthz"),
	}, nil
}

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

func freePort(addr netip.Addr) (int, error) {
	l, err := net.Listen("tcp", netip.AddrPortFrom(addr, 0).String())
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// healthy asks a URL, which answers 200 when all is well.
func healthy(client *http.Client, url string) func(context.Context) error {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	}
}

func unixClient(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}
}

// httpsClient trusts the cluster's CA as it is now.
func (p *Plane) httpsClient() *http.Client {
	pool := x509.NewCertPool()
	// Without the file nothing is trusted, and so nothing healthy.
	data, _ := os.ReadFile(p.path(pkiDir, pki.CA+".crt"))
	pool.AppendCertsFromPEM(data)
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13},
	}}
}
