package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func itoa(n int) string { return strconv.Itoa(n) }

// request makes a CertificateSigningRequest with a kubeconfig's user, and waits for the
// certificate.
func (l *lab) request(kubeconfig, name, signer, usage string, template *x509.CertificateRequest) (cert, key []byte) {
	l.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		l.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, private)
	if err != nil {
		l.Fatal(err)
	}
	manifest := fmt.Sprintf(`
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: %s}
spec:
  request: %s
  signerName: %s
  usages: [digital signature, %s]
`, name, base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), signer, usage)
	if out, code := l.runWith(manifest, "kubectl", "--kubeconfig", kubeconfig, "create", "-f", "-"); code != 0 {
		l.Fatal(out)
	}
	l.await("the certificate "+name, func() bool {
		encoded := l.kubectl("get", "csr", name, "-o", "jsonpath={.status.certificate}")
		cert, err = base64.StdEncoding.DecodeString(encoded)
		return err == nil && len(cert) > 0
	})
	der, err = x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		l.Fatal(err)
	}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func (l *lab) write(name string, data []byte) string {
	l.Helper()
	path := filepath.Join(l.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		l.Fatal(err)
	}
	return path
}

// TestCluster looks at what up has made of a cluster.
func TestCluster(t *testing.T) {
	l := newLab(t)
	l.up("--advertise-address", "192.0.2.1:443", "--name", "kube.example.com")
	for name, test := range map[string]func(*lab){"join": join, "first objects": firstObjects} {
		t.Run(name, func(t *testing.T) {
			in := *l
			in.T = t
			test(&in)
		})
	}
	// Without an address for pods, none is left of an earlier one.
	l.must("down")
	l.up()
	if _, code := l.run("kubectl", "get", "endpointslice", "kubernetes"); code == 0 {
		t.Error("there still is an endpoint")
	}
}

// join does what a node does: with a token it gets a certificate of its own, with
// that a Node, a renewed certificate, and one to serve with.
func join(l *lab) {
	token := strings.TrimSpace(l.must("token", "--ttl", "1h"))
	if !regexp.MustCompile(`^[a-z0-9]{6}\.[a-z0-9]{16}$`).MatchString(token) {
		l.Fatalf("token %q", token)
	}
	bootstrap := l.write("bootstrap", []byte(l.must("token", "--kubeconfig")))
	if who := l.kubectl("--kubeconfig", bootstrap, "auth", "whoami", "-o", "jsonpath={.status.userInfo.groups}"); !strings.Contains(who, "system:bootstrappers:cis:nodes") {
		l.Errorf("the token's groups are %s", who)
	}
	if _, code := l.run("kubectl", "--kubeconfig", bootstrap, "get", "secrets", "-A"); code == 0 {
		l.Error("a join token reads Secrets")
	}

	subject := pkix.Name{CommonName: "system:node:n1", Organization: []string{"system:nodes"}}
	cert, key := l.request(bootstrap, "first", "kubernetes.io/kube-apiserver-client-kubelet", "client auth", &x509.CertificateRequest{Subject: subject})
	node := l.write("node", []byte(l.must("kubeconfig")))
	l.kubectl("--kubeconfig", node, "config", "set-credentials", "n1", "--embed-certs",
		"--client-certificate", l.write("cert", cert), "--client-key", l.write("key", key))
	l.kubectl("--kubeconfig", node, "config", "set-context", "--current", "--user", "n1")
	if who := l.kubectl("--kubeconfig", node, "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"); who != "system:node:n1" {
		l.Errorf("the node is %s", who)
	}
	if out, code := l.runWith("{apiVersion: v1, kind: Node, metadata: {name: n1}}", "kubectl", "--kubeconfig", node, "create", "-f", "-"); code != 0 {
		l.Fatal(out)
	}
	// kubectl reads a status before it writes it, which nodes may not.
	l.kubectl("patch", "node", "n1", "--subresource", "status", "-p", `{"status":{"addresses":[{"type":"InternalIP","address":"192.0.2.9"}]}}`)
	l.request(node, "renewal", "kubernetes.io/kube-apiserver-client-kubelet", "client auth", &x509.CertificateRequest{Subject: subject})
	l.request(node, "serving", "kubernetes.io/kubelet-serving", "server auth",
		&x509.CertificateRequest{Subject: subject, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 9)}})
}

func firstObjects(l *lab) {
	const path = "jsonpath={.endpoints[0].addresses[0]}:{.ports[0].port}"
	if got := l.kubectl("get", "endpointslice", "kubernetes", "-o", path); got != "192.0.2.1:443" {
		l.Errorf("pods find the API server at %s", got)
	}
	if got := l.kubectl("get", "service", "kubernetes", "-o", "jsonpath={.spec.clusterIP}"); got != "10.96.0.1" {
		l.Errorf("the Service kubernetes has %s", got)
	}
	if got := l.kubectl("get", "service", "kube-dns", "-n", "kube-system", "-o", "jsonpath={.spec.clusterIP}"); got != "10.96.0.10" {
		l.Errorf("the Service kube-dns has %s", got)
	}
	dns := filepath.Join(l.dir, "pki", "coredns.conf")
	l.kubectl("--kubeconfig", dns, "get", "endpointslices,services,namespaces,pods", "-A")
	if _, code := l.run("kubectl", "--kubeconfig", dns, "get", "secrets", "-A"); code == 0 {
		l.Error("the cluster's DNS reads Secrets")
	}
	if info := l.anonymous("/api/v1/namespaces/kube-public/configmaps/cluster-info"); !strings.Contains(info, fmt.Sprintf("server: https://127.0.0.1:%d", l.port)) {
		l.Errorf("cluster-info: %s", info)
	}
	token := strings.TrimSpace(l.must("token"))
	l.await("the signature of cluster-info", func() bool {
		return strings.Contains(l.anonymous("/api/v1/namespaces/kube-public/configmaps/cluster-info"), "jws-kubeconfig-"+token[:6])
	})
	if version := l.must("version"); !regexp.MustCompile(`^v1\.\d+\.\d+\n$`).MatchString(version) || !strings.Contains(l.kubectl("version"), strings.TrimSpace(version)) {
		l.Errorf("version %q", version)
	}
}

// anonymous reads a path without a name, and holds the server to its certificate.
func (l *lab) anonymous(path string) string {
	l.Helper()
	ca, err := os.ReadFile(filepath.Join(l.dir, "pki", "ca.crt"))
	if err != nil {
		l.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "kubernetes.default.svc"},
	}}
	resp, err := client.Get(fmt.Sprintf("https://127.0.0.1:%d%s", l.port, path))
	if err != nil {
		l.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		l.Fatal(err)
	}
	return strings.ReplaceAll(string(body), `\n`, "\n")
}
