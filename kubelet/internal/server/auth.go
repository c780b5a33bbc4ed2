package server

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// ClusterAuth knows callers by a certificate of the cluster's CA, or by a token that the
// API server knows, and asks the API server what they may do.
type ClusterAuth struct {
	Kube kubernetes.Interface
	Node string
	// ClientCA signs the certificates of callers; nil: only tokens count.
	ClientCA *x509.CertPool

	mu    sync.Mutex
	known map[[sha256.Size]byte]answer
}

// answer of the API server, for a while.
type answer struct {
	until  time.Time
	status int
	err    error
}

const (
	allowedFor = 5 * time.Minute
	deniedFor  = 30 * time.Second
	maxAnswers = 1000
)

// Allow implements Auth.
func (a *ClusterAuth) Allow(r *http.Request, subresource string) (int, error) {
	key := a.key(r, subresource)
	a.mu.Lock()
	old, ok := a.known[key]
	a.mu.Unlock()
	if ok && time.Now().Before(old.until) {
		return old.status, old.err
	}
	now := answer{until: time.Now().Add(allowedFor)}
	now.status, now.err = a.ask(r, subresource)
	if now.status >= 500 {
		return now.status, now.err
	}
	if now.err != nil {
		now.until = time.Now().Add(deniedFor)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known == nil || len(a.known) >= maxAnswers {
		a.known = map[[sha256.Size]byte]answer{}
	}
	a.known[key] = now
	return now.status, now.err
}

// key is the same for the same caller, verb and subresource.
func (a *ClusterAuth) key(r *http.Request, subresource string) [sha256.Size]byte {
	h := sha256.New()
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		h.Write(r.TLS.PeerCertificates[0].Raw)
	}
	fmt.Fprintf(h, "\x00%s\x00%s\x00%s", r.Header.Get("Authorization"), verb(r), subresource)
	return [sha256.Size]byte(h.Sum(nil))
}

func (a *ClusterAuth) ask(r *http.Request, subresource string) (int, error) {
	user, err := a.who(r)
	if err != nil {
		return http.StatusUnauthorized, err
	}
	extra := map[string]authorizationv1.ExtraValue{}
	for name, values := range user.Extra {
		extra[name] = authorizationv1.ExtraValue(values)
	}
	review, err := a.Kube.AuthorizationV1().SubjectAccessReviews().Create(r.Context(), &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{User: user.Username, Groups: user.Groups, UID: user.UID, Extra: extra,
			ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: verb(r), Version: "v1", Resource: "nodes", Subresource: subresource, Name: a.Node}},
	}, metav1.CreateOptions{})
	if err != nil {
		return http.StatusInternalServerError, fmt.Errorf("ask what %s may do: %w", user.Username, err)
	}
	if !review.Status.Allowed {
		return http.StatusForbidden, fmt.Errorf("forbidden (user=%s, verb=%s, resource=nodes, subresource=%s)", user.Username, verb(r), subresource)
	}
	return http.StatusOK, nil
}

// verb is what the kubelet asks about for a method.
func verb(r *http.Request) string {
	switch r.Method {
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	case http.MethodPatch:
		return "patch"
	case http.MethodDelete:
		return "delete"
	}
	return "get"
}

func (a *ClusterAuth) who(r *http.Request) (authenticationv1.UserInfo, error) {
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 && a.ClientCA != nil {
		return a.byCertificate(r.TLS.PeerCertificates)
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return authenticationv1.UserInfo{}, errNoClient
	}
	review, err := a.Kube.AuthenticationV1().TokenReviews().Create(r.Context(),
		&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
	if err != nil {
		return authenticationv1.UserInfo{}, fmt.Errorf("ask whose token it is: %w", err)
	}
	if !review.Status.Authenticated {
		return authenticationv1.UserInfo{}, errNoClient
	}
	return review.Status.User, nil
}

func (a *ClusterAuth) byCertificate(chain []*x509.Certificate) (authenticationv1.UserInfo, error) {
	others := x509.NewCertPool()
	for _, c := range chain[1:] {
		others.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: a.ClientCA, Intermediates: others, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return authenticationv1.UserInfo{}, fmt.Errorf("the client's certificate: %w", err)
	}
	subject := chain[0].Subject
	return authenticationv1.UserInfo{Username: subject.CommonName, Groups: append(subject.Organization, "system:authenticated")}, nil
}
