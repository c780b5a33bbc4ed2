package bootstrap

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"net/url"
	"regexp"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func encodeRequest(t *testing.T, template *x509.CertificateRequest) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

func testNode() *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n1"},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: "192.0.2.9"}, {Type: corev1.NodeHostName, Address: "n1"},
		}},
	}
}

func TestServingFault(t *testing.T) {
	type request struct {
		spec     certificatesv1.CertificateSigningRequestSpec
		template x509.CertificateRequest
	}
	for _, test := range []struct {
		name   string
		good   bool
		change func(*request)
	}{
		{"as it should be", true, func(*request) {}},
		{"a name of the node", true, func(r *request) { r.template.DNSNames = []string{"n1"} }},
		{"another's address", false, func(r *request) {
			r.template.IPAddresses = append(r.template.IPAddresses, net.IPv4(192, 0, 2, 10))
		}},
		{"another's name", false, func(r *request) { r.template.DNSNames = []string{"kubernetes"} }},
		{"no address", false, func(r *request) { r.template.IPAddresses = nil }},
		{"a URI", false, func(r *request) { r.template.URIs = []*url.URL{{Scheme: "https", Host: "n1"}} }},
		{"another node", false, func(r *request) { r.spec.Username = "system:node:n2" }},
		{"not in the group", false, func(r *request) { r.spec.Groups = nil }},
		{"another subject", false, func(r *request) { r.template.Subject.CommonName = "system:node:n2" }},
		{"another group", false, func(r *request) { r.template.Subject.Organization = []string{"system:masters"} }},
		{"for a client", false, func(r *request) { r.spec.Usages = []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth} }},
		{"for both", false, func(r *request) { r.spec.Usages = append(r.spec.Usages, certificatesv1.UsageClientAuth) }},
	} {
		r := request{
			spec: certificatesv1.CertificateSigningRequestSpec{
				Username: "system:node:n1", Groups: []string{"system:nodes"},
				Usages: []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageServerAuth},
			},
			template: x509.CertificateRequest{
				Subject:     pkix.Name{CommonName: "system:node:n1", Organization: []string{"system:nodes"}},
				IPAddresses: []net.IP{net.IPv4(192, 0, 2, 9)},
			},
		}
		test.change(&r)
		r.spec.Request = encodeRequest(t, &r.template)
		if err := servingFault(&r.spec, testNode()); (err == nil) != test.good {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// FuzzServingFault: whatever a node sends, it gets no certificate for another.
func FuzzServingFault(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----\nMA==\n-----END CERTIFICATE REQUEST-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		spec := certificatesv1.CertificateSigningRequestSpec{
			Username: "system:node:n2", Groups: []string{"system:nodes"}, Request: data,
			Usages: []certificatesv1.KeyUsage{certificatesv1.UsageServerAuth},
		}
		if servingFault(&spec, testNode()) == nil {
			t.Error("approved")
		}
	})
}

func TestRandomText(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		text, err := randomText(tokenSecretLength)
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`^[a-z0-9]{16}$`).MatchString(text) || seen[text] {
			t.Errorf("text %q", text)
		}
		seen[text] = true
	}
}
