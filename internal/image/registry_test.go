package image

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cis/api"
)

// sampleRegistry is a plain registry with a few images in its storage.
func sampleRegistry(t *testing.T) (storage, addr string) {
	storage = t.TempDir()
	addr = dockerRegistry(t, storage, "", "")
	push(t, "http://"+addr, "simple", "latest", simpleImage(t, "hello\n"))
	return storage, addr
}

func TestPullFormats(t *testing.T) {
	storage := t.TempDir()
	addr := dockerRegistry(t, storage, "", "")
	base := "http://" + addr
	layers := [][]byte{
		tarOf(t, "content", "old", "gone", "x", "etc/", "", "etc/passwd", "app:x:7:8:a:/home/app:/bin/sh\n", "etc/group", "staff:x:50:app\n"),
		tarOf(t, "content", "new\n", ".wh.gone", ""),
		tarOf(t),
		tarOf(t),
	}
	images := map[string]testImage{
		"docker-gzip": makeImage(t, true, gzipped, layers...),
		"oci-gzip":    makeImage(t, false, gzipped, layers...),
		"oci-zstd":    makeImage(t, false, zstded, layers...),
		"oci-plain":   makeImage(t, false, nil, layers...),
		"empty":       makeImage(t, false, nil),
	}
	for name, im := range images {
		push(t, base, name, "v1", im)
	}
	child, other := images["oci-gzip"], makeImage(t, false, gzipped, tarOf(t, "content", "arm"))
	for _, typ := range []string{ociIndex, dockerList} {
		index := toJSON(t, object{"schemaVersion": 2, "mediaType": typ, "manifests": []object{
			withPlatform(descriptor(ociManifest, other.manifest), "linux", "arm64"),
			withPlatform(descriptor(ociManifest, child.manifest), "linux", "amd64"),
			withPlatform(descriptor(ociManifest, other.manifest), "unknown", "unknown"),
		}})
		push(t, base, "multi", "arm", other)
		push(t, base, "multi", "v1", child)
		tag := "docker"
		if typ == ociIndex {
			tag = "oci"
		}
		pushManifest(t, base, "multi", tag, typ, index)
		images["multi:"+tag] = child
	}
	s := openStore(t, Options{})
	for name, im := range images {
		t.Run(name, func(t *testing.T) {
			ref := addr + "/" + name
			if !strings.Contains(name, ":") {
				ref += ":v1"
			}
			l := ensure(t, s, ref)
			defer l.Release()
			if l.Image.Digest != im.digest() {
				t.Errorf("digest %s, want %s", l.Image.Digest, im.digest())
			}
			if name == "empty" {
				return
			}
			if got := contentOf(t, l.Image, "content"); got != "new\n" {
				t.Errorf("content %q", got)
			}
			c := l.Image.Config
			if c.Cmd[0] != "sh" || c.Env[0] != "A=b" || c.WorkingDir != "/srv" || c.StopSignal != "SIGINT" || c.Labels["k"] != "v" || len(c.ExposedPorts) != 1 || len(c.Volumes) != 1 {
				t.Errorf("config %+v", c)
			}
			if l.Image.Created.Year() != 2020 || l.Image.DiskSize == 0 || l.Image.CompressedSize == 0 {
				t.Errorf("image %+v", l.Image)
			}
			if u, err := l.Image.User(""); err != nil || u.UID != 7 || u.GID != 50 || u.Home != "/home/app" {
				t.Errorf("user %+v, %v", u, err)
			}
		})
	}
	clean(t, s)
	t.Run("by digest", func(t *testing.T) {
		ref := addr + "/oci-gzip@" + images["oci-gzip"].digest()
		l := ensure(t, s, ref)
		defer l.Release()
		if l.Image.Refs[0] != ref && !strings.Contains(strings.Join(l.Image.Refs, " "), ref) {
			t.Errorf("refs %v", l.Image.Refs)
		}
	})
	t.Run("other platform", func(t *testing.T) {
		_, err := openStore(t, Options{Architecture: "riscv64"}).Ensure(context.Background(), Request{Ref: addr + "/multi:oci"})
		wantCode(t, err, api.NotFound, "linux/riscv64", "linux/arm64")
		_, err = openStore(t, Options{Architecture: "riscv64"}).Ensure(context.Background(), Request{Ref: addr + "/multi:v1"})
		wantCode(t, err, api.Invalid, "linux/amd64", "linux/riscv64")
	})
}

func withPlatform(d object, os, arch string) object {
	d["platform"] = object{"os": os, "architecture": arch}
	return d
}

func TestRegistryErrors(t *testing.T) {
	_, addr := sampleRegistry(t)
	s := openStore(t, Options{})
	for ref, want := range map[string]struct {
		code  api.Code
		words []string
	}{
		addr + "/simple:none": {api.NotFound, []string{addr, "simple:none", "MANIFEST_UNKNOWN"}},
		addr + "/none":        {api.NotFound, []string{"none:latest"}},
		addr + "/simple@sha256:" + strings.Repeat("0", 64): {api.NotFound, nil},
		"127.0.0.1:1/x": {api.Unavailable, []string{"cannot be reached", "127.0.0.1:1"}},
		"UPPER/x":       {api.Invalid, []string{"image:"}},
		"":              {api.Invalid, nil},
	} {
		_, err := s.Ensure(context.Background(), Request{Ref: ref})
		wantCode(t, err, want.code, want.words...)
		_, err = s.Ensure(context.Background(), Request{Ref: ref, Policy: api.PullNever})
		if want.code != api.Invalid {
			wantCode(t, err, api.NotFound, "Never")
		}
	}
	_, err := s.Ensure(context.Background(), Request{Ref: addr + "/simple", Policy: "Sometimes"})
	wantCode(t, err, api.Invalid, "imagePullPolicy")
	clean(t, s)
}

func TestBasicAuth(t *testing.T) {
	storage, _ := sampleRegistry(t)
	htpasswd := filepath.Join(t.TempDir(), "htpasswd")
	// bcrypt of "secret", as htpasswd -B writes it.
	if err := os.WriteFile(htpasswd, []byte("user:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := dockerRegistry(t, storage, "", fmt.Sprintf("auth: {htpasswd: {realm: test, path: %q}}\n", htpasswd))
	ref := addr + "/simple"
	ctx := context.Background()

	_, err := openStore(t, Options{}).Ensure(ctx, Request{Ref: ref})
	wantCode(t, err, api.Unauthenticated, addr, "--registry-auth")
	_, err = openStore(t, Options{}).Ensure(ctx, Request{Ref: ref, Auths: []Auth{{Username: "user", Password: "wrong"}}})
	wantCode(t, err, api.Unauthenticated, addr, "check the credentials")

	s := openStore(t, Options{})
	ensure(t, s, ref, Auth{Registry: "other.example", Username: "a", Password: "b"}, Auth{Username: "user", Password: "wrong"}, Auth{Registry: addr, Username: "user", Password: "secret"}).Release()
	// Another owner has to prove it anew, and cannot do so with the operator's file.
	own := Request{Owner: "us", Ref: ref}
	_, err = s.Ensure(ctx, own)
	wantCode(t, err, api.Unauthenticated)
	_, err = s.Ensure(ctx, Request{Owner: "us", Ref: ref, Policy: api.PullNever})
	wantCode(t, err, api.NotFound)
	own.Auths = []Auth{{Username: "user", Password: "secret"}}
	if l, err := s.Ensure(ctx, own); err != nil {
		t.Fatal(err)
	} else {
		l.Release()
	}
	if list := s.List("us"); len(list) != 1 || len(list[0].Refs) != 1 || len(s.All()) != 1 || len(s.List("them")) != 0 {
		t.Errorf("one owner has %+v, all have %+v", list, s.All())
	}
	// The image is here, but Always asks the registry about whoever asks.
	_, err = s.Ensure(ctx, Request{Ref: ref, Policy: api.PullAlways})
	wantCode(t, err, api.Unauthenticated)

	config := filepath.Join(t.TempDir(), "config.json")
	auth := base64.StdEncoding.EncodeToString([]byte("user:secret"))
	if err := os.WriteFile(config, fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, addr, auth), 0o600); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, Options{DockerConfig: config})
	_, err = s.Ensure(ctx, Request{Owner: "us", Ref: ref})
	wantCode(t, err, api.Unauthenticated)
	ensure(t, s, ref).Release()
	ensure(t, openStore(t, Options{DockerConfig: "/does/not/exist"}), ref, Auth{Username: "user", Password: "secret"}).Release()
	helper := filepath.Join(t.TempDir(), "docker-credential-test")
	script := "#!/bin/sh\nread host\n[ \"$host\" = " + addr + " ] && echo '{\"Username\":\"user\",\"Secret\":\"secret\"}'\n"
	if err := os.WriteFile(helper, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Dir(helper)+":"+os.Getenv("PATH"))
	if err := os.WriteFile(config, fmt.Appendf(nil, `{"credHelpers":{%q:"test"}}`, addr), 0o600); err != nil {
		t.Fatal(err)
	}
	ensure(t, openStore(t, Options{DockerConfig: config}), ref).Release()
	if err := os.WriteFile(config, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = openStore(t, Options{DockerConfig: config}).Ensure(ctx, Request{Ref: ref})
	wantCode(t, err, api.Internal, "config.json")
}

// tokenServer gives tokens that docker-registry accepts, to user/secret, and
// writes its certificate to a file.
func tokenServer(t *testing.T) (u, certFile string) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	certFile = filepath.Join(t.TempDir(), "token.pem")
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "token"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, certFile, "CERTIFICATE", der)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, pass, _ := r.BasicAuth(); user != "user" || pass != "secret" {
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}`, http.StatusUnauthorized)
			return
		}
		json.NewEncoder(w).Encode(object{"token": signToken(t, key, r.FormValue("service"), r.FormValue("scope")), "expires_in": 300})
	}))
	t.Cleanup(srv.Close)
	// The registry library refuses a token server at a private address
	// literal, so it gets a name.
	return strings.Replace(srv.URL, "127.0.0.1", "localhost", 1), certFile
}

// signToken makes a token as the registry's token authentication specification
// says: a JWT whose kid is the key's libtrust fingerprint.
func signToken(t *testing.T, key *rsa.PrivateKey, service, scope string) string {
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	id := strings.TrimRight(base32.StdEncoding.EncodeToString(sum[:30]), "=")
	var kid []string
	for i := 0; i < len(id); i += 4 {
		kid = append(kid, id[i:i+4])
	}
	parts := strings.Split(scope, ":") // repository:name:pull
	now := time.Now()
	enc := func(v any) string { return base64.RawURLEncoding.EncodeToString(toJSON(t, v)) }
	body := enc(object{"typ": "JWT", "alg": "RS256", "kid": strings.Join(kid, ":")}) + "." +
		enc(object{"iss": "test", "aud": service, "sub": "user", "exp": now.Add(time.Hour).Unix(), "nbf": now.Add(-time.Minute).Unix(), "iat": now.Unix(), "jti": "1",
			"access": []object{{"type": parts[0], "name": parts[1], "actions": []string{"pull"}}}})
	hash := sha256.Sum256([]byte(body))
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, hash[:])
	if err != nil {
		t.Fatal(err)
	}
	return body + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func TestBearerAuth(t *testing.T) {
	storage, _ := sampleRegistry(t)
	realm, cert := tokenServer(t)
	addr := dockerRegistry(t, storage, "", fmt.Sprintf("auth: {token: {realm: %q, service: test, issuer: test, rootcertbundle: %q}}\n", realm, cert))
	ref := addr + "/simple"
	_, err := openStore(t, Options{}).Ensure(context.Background(), Request{Ref: ref})
	wantCode(t, err, api.Unauthenticated, addr, "UNAUTHORIZED", "--registry-auth")
	ensure(t, openStore(t, Options{}), ref, Auth{Username: "user", Password: "secret"}).Release()
}

// A token is sent as it is, without asking a token server.
func TestReadyToken(t *testing.T) {
	f := newFakeRegistry(t)
	f.add("latest", simpleImage(t, "x"))
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer ready" {
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://localhost:1/token",service="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		f.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	ensure(t, openStore(t, Options{}), hostOf(t, front.URL)+"/x", Auth{Token: "ready"}).Release()
	_, err := openStore(t, Options{}).Ensure(context.Background(), Request{Ref: hostOf(t, front.URL) + "/x", Auths: []Auth{{Token: "other"}}})
	wantCode(t, err, api.Unauthenticated)
}

// makeCA writes a CA, and a certificate of it for the given host, and returns
// their files.
func makeCA(t *testing.T, host string) (ca, cert, key string) {
	t.Helper()
	dir := t.TempDir()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, &caKey.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.ParseIP(host)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, &leafKey.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		t.Fatal(err)
	}
	ca, cert, key = filepath.Join(dir, "ca"), filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	writePEM(t, ca, "CERTIFICATE", rootDER)
	writePEM(t, cert, "CERTIFICATE", leafDER)
	writePEM(t, key, "PRIVATE KEY", keyDER)
	if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
		t.Fatal(err)
	}
	return ca, cert, key
}

func writePEM(t *testing.T, name, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestHTTPS(t *testing.T) {
	storage, _ := sampleRegistry(t)
	ca, cert, key := makeCA(t, "127.0.0.1")
	addr := dockerRegistry(t, storage, fmt.Sprintf("  tls: {certificate: %q, key: %q}\n", cert, key), "")
	ref := addr + "/simple"
	ctx := context.Background()
	_, err := openStore(t, Options{}).Ensure(ctx, Request{Ref: ref})
	wantCode(t, err, api.Unavailable, addr, "not trusted", "CA")
	ensure(t, openStore(t, Options{CAFile: ca}), ref).Release()
	ensure(t, openStore(t, Options{RegistryCAFiles: map[string]string{addr: ca}}), ref).Release()
	_, err = openStore(t, Options{RegistryCAFiles: map[string]string{"other.example": ca}}).Ensure(ctx, Request{Ref: ref})
	wantCode(t, err, api.Unavailable, "not trusted")
	if _, err := Open(t.TempDir(), Options{CAFile: key}); err == nil {
		t.Error("a file without certificates was taken for a CA")
	}
}

// A registry that is no loopback address and speaks http is refused unless it is
// listed, though its address is private. The test runs itself in a network
// namespace of its own, to have such an address.
func TestPlainHTTP(t *testing.T) {
	const inside = "IMAGE_TEST_NETNS"
	if os.Getenv(inside) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestPlainHTTP$", "-test.v")
		cmd.Env = append(os.Environ(), inside+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("in the namespace: %v\n%s", err, out)
		}
		return
	}
	for _, args := range []string{"link set lo up", "address add 10.9.9.9/32 dev lo"} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v\n%s", args, err, out)
		}
	}
	storage, _ := sampleRegistry(t)
	addr := strings.Replace(dockerRegistry(t, storage, "", ""), "127.0.0.1", "10.9.9.9", 1)
	addr = forward(t, addr)
	ref := addr + "/simple"
	_, err := openStore(t, Options{}).Ensure(context.Background(), Request{Ref: ref})
	wantCode(t, err, api.Unavailable, addr, "https", "insecure registries")
	ensure(t, openStore(t, Options{InsecureRegistries: []string{addr}}), ref).Release()
}

// forward listens on a free port of the address and hands connections to the
// same port of 127.0.0.1.
func forward(t *testing.T, addr string) string {
	t.Helper()
	host, port, _ := net.SplitHostPort(addr)
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	u := &url.URL{Scheme: "http", Host: "127.0.0.1:" + port}
	srv := &http.Server{Handler: httputil.NewSingleHostReverseProxy(u)}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return l.Addr().String()
}
