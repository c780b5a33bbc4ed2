package join

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"k8s.io/client-go/rest"
)

// TestRenewing: each request goes out with the newest certificate, and one that is under way
// with an older one is not cut off.
func TestRenewing(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(entered)
			<-leave
		}
		name := "nobody"
		if len(r.TLS.PeerCertificates) > 0 {
			name = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		io.WriteString(w, name)
	}))
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	defer server.Close()

	var current atomic.Pointer[tls.Certificate]
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	transport, err := newRenewing(&rest.Config{TLSClientConfig: rest.TLSClientConfig{CAData: ca}}, current.Load)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: transport}
	get := func(path string) string {
		response, err := client.Get(server.URL + path)
		if err != nil {
			t.Error(err)
			return ""
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Error(err)
		}
		return string(body)
	}
	if got := get("/"); got != "nobody" {
		t.Errorf("without a certificate it was %q", got)
	}
	current.Store(certificateOf(t, "first"))
	slow := make(chan string)
	go func() { slow <- get("/slow") }()
	<-entered
	current.Store(certificateOf(t, "second"))
	if got := get("/"); got != "second" {
		t.Errorf("with the second certificate it was %q", got)
	}
	// An expired one is not there any more; what was there is still better than nothing.
	current.Store(nil)
	if got := get("/"); got != "second" {
		t.Errorf("after the second certificate it was %q", got)
	}
	close(leave)
	if got := <-slow; got != "first" {
		t.Errorf("with the first certificate it was %q", got)
	}
}

// certificateOf name, signed by itself.
func certificateOf(t *testing.T, name string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}
}
