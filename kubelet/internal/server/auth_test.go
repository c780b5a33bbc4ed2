package server

import (
	"net/http"
	"net/http/httptest"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// TestAuth: tokens are looked up, rights asked for once, and nobody comes in without either.
func TestAuth(t *testing.T) {
	kube, asked := fake.NewClientset(), 0
	kube.PrependReactor("create", "tokenreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		review := a.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview)
		review.Status.Authenticated = review.Spec.Token == "good" || review.Spec.Token == "weak"
		review.Status.User.Username = review.Spec.Token
		return true, review, nil
	})
	kube.PrependReactor("create", "subjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		asked++
		review := a.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview)
		what := review.Spec.ResourceAttributes
		review.Status.Allowed = review.Spec.User == "good" && what.Resource == "nodes" && what.Name == "n1" && what.Subresource == "stats" && what.Verb == "get"
		return true, review, nil
	})
	auth := &ClusterAuth{Kube: kube, Node: "n1"}
	for _, test := range []struct {
		token, subresource string
		want               int
	}{{"good", "stats", 200}, {"good", "stats", 200}, {"good", "proxy", 403}, {"weak", "stats", 403}, {"bad", "stats", 401}, {"", "stats", 401}} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if test.token != "" {
			r.Header.Set("Authorization", "Bearer "+test.token)
		}
		if got, err := auth.Allow(r, test.subresource); got != test.want || (err == nil) != (got == 200) {
			t.Errorf("%+v: %d, %v", test, got, err)
		}
	}
	if asked != 3 {
		t.Errorf("the API server was asked %d times", asked)
	}
}
