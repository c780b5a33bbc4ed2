package client_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cis/api"
	"cis/client"
	"cis/internal/account"
	"cis/internal/server"
	"cis/internal/server/servertest"
)

func TestNewRefuses(t *testing.T) {
	for _, o := range []client.Options{
		{}, {Host: "http://localhost"}, {Host: "unix://relative"}, {Host: "unix:"}, {Host: "https://"}, {Host: ":"},
		{Host: "https://localhost", CA: "/does/not/exist"}, {Host: "https://localhost", CA: "/dev/null"},
	} {
		_, err := client.New(o)
		wantCode(t, err, api.Invalid)
	}
}

func TestNothingAnswers(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "cis.sock")
	check := func() {
		t.Helper()
		c, err := client.New(client.Options{Host: "unix://" + socket})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Version(t.Context())
		wantCode(t, err, api.Unavailable)
		if !strings.Contains(err.Error(), socket) || !strings.Contains(err.Error(), "start cisd with") || !errors.Is(err, client.ErrDisconnected) {
			t.Errorf("got %v", err)
		}
		_, err = c.Exec(t.Context(), "a", api.ExecRequest{Command: []string{"a"}}, client.Streams{})
		wantCode(t, err, api.Unavailable)
	}
	check()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	check() // the file is there, and nobody listens
}

func TestAnswerOfAnotherServer(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "other.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "<html>bad gateway</html>", http.StatusBadGateway)
	})}
	go server.Serve(l)
	defer server.Close()
	c, err := client.New(client.Options{Host: "unix://" + socket})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Version(t.Context())
	wantCode(t, err, api.Unavailable)
}

func TestShutdown(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.create(t, "a")
	slow := make(chan struct{})
	w.engine.OnCreate = func(ctx context.Context) error {
		close(slow)
		select {
		case <-time.After(300 * time.Millisecond):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	ends := map[string]chan error{}
	start := func(name string, fn func() error) {
		end := make(chan error, 1)
		ends[name] = end
		go func() { end <- fn() }()
	}
	watching, executing := make(chan struct{}), make(chan struct{})
	start("watch", func() error {
		return w.Watch(ctx, client.ListOptions{}, 0, func(api.WatchEvent[api.Instance]) error { close(watching); return nil })
	})
	start("exec", func() error {
		_, err := w.Exec(ctx, "a", api.ExecRequest{Command: []string{"hang"}}, client.Streams{Started: func() { close(executing) }})
		return err
	})
	start("wait", func() error { _, err := w.Wait(ctx, "a"); return err })
	start("create", func() error {
		_, err := w.Create(ctx, api.CreateInstance{InstanceSpec: api.InstanceSpec{Name: "b", Containers: []api.Container{{Image: "x"}}}})
		return err
	})
	<-watching
	<-executing
	<-slow
	time.Sleep(50 * time.Millisecond) // nothing tells that the wait has arrived
	w.stop()
	if err := <-ends["create"]; err != nil {
		t.Errorf("a create under way was cut off: %v", err)
	}
	for _, name := range []string{"watch", "exec", "wait"} {
		err := <-ends[name]
		wantCode(t, err, api.Unavailable)
		if !strings.Contains(err.Error(), "shutting down") {
			t.Errorf("%s: %v", name, err)
		}
		if name == "exec" && !errors.Is(err, client.ErrDisconnected) {
			t.Errorf("%s: %v is not the end of the connection", name, err)
		}
	}
	if err := <-w.done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	w.done <- nil
	_, err := w.Version(ctx)
	wantCode(t, err, api.Unavailable)
}

func TestWatchEndsWithTheCaller(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := w.Watch(ctx, client.ListOptions{}, 0, nil)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestHTTPS(t *testing.T) {
	ca, certificate := authority(t)
	find := func(_ context.Context, token string) (account.Caller, error) {
		if token != "secret" {
			return account.Caller{}, api.Errorf(api.Unauthenticated, "not known")
		}
		return account.Caller{Account: account.Default, User: "ann", Key: "k", Role: api.RoleOperator}, nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := server.New(server.Config{Engine: servertest.New(), Log: slog.New(slog.DiscardHandler)})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- s.Serve(ctx, server.Listener{Listener: l, Auth: server.Bearer(find), TLS: &tls.Config{Certificates: []tls.Certificate{certificate}}})
	}()
	connect := func(o client.Options) *client.Client {
		o.Host = "https://" + l.Addr().String()
		c, err := client.New(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	c := connect(client.Options{Token: "secret", CA: ca})
	if _, err := c.Create(ctx, api.CreateInstance{InstanceSpec: api.InstanceSpec{Name: "a", Containers: []api.Container{{Image: "b"}}}}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	code, err := c.Exec(ctx, "a", api.ExecRequest{Command: []string{"cat"}}, client.Streams{Stdin: strings.NewReader("through TLS"), Stdout: &out})
	if err != nil || code != 0 || out.String() != "through TLS" {
		t.Errorf("got %d, %v, %q", code, err, out.String())
	}
	for _, token := range []string{"", "wrong"} {
		c := connect(client.Options{Token: token, CA: ca})
		_, err := c.Info(ctx)
		wantCode(t, err, api.Unauthenticated)
		_, err = c.Exec(ctx, "a", api.ExecRequest{Command: []string{"cat"}}, client.Streams{})
		wantCode(t, err, api.Unauthenticated)
	}
	_, err = connect(client.Options{Token: "secret"}).Info(ctx) // does not trust the authority
	wantCode(t, err, api.Unavailable)
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// authority makes a CA file, and a certificate for 127.0.0.1.
func authority(t *testing.T) (file string, _ tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
