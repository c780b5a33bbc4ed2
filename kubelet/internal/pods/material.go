package pods

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cis-kubelet/internal/translate"
)

// material gets each object by its name, as the node authorizer lets a node do, and what is
// watched already as it was last seen, as a kubelet does.
func (w *worker) material(ctx context.Context, pod *corev1.Pod, needs translate.Needs) (m translate.Material, err error) {
	k, core := w.k, w.k.Kube.CoreV1()
	m.Services = k.servicesFor(pod.Namespace)
	gets, ctx := errgroup.WithContext(ctx)
	gets.Go(func() (err error) {
		m.ConfigMaps, err = fetch(ctx, needs.ConfigMaps, seen(k.watches, configMap, pod.Namespace, core.ConfigMaps(pod.Namespace).Get))
		return err
	})
	gets.Go(func() (err error) {
		m.Secrets, err = fetch(ctx, needs.Secrets, seen(k.watches, secret, pod.Namespace, core.Secrets(pod.Namespace).Get))
		return err
	})
	gets.Go(func() (err error) {
		m.Claims, err = w.claims(ctx, pod, needs.Claims)
		return err
	})
	gets.Go(func() (err error) {
		m.Tokens, err = w.tokens.get(ctx, k, pod, needs.Tokens)
		return err
	})
	return m, gets.Wait()
}

// getter gets an object by its name.
type getter[T any] func(context.Context, string, metav1.GetOptions) (T, error)

// seen asks only for what is not watched.
func seen[T any](w *watches, kind objectKind, namespace string, get getter[T]) getter[T] {
	return func(ctx context.Context, name string, opts metav1.GetOptions) (T, error) {
		if object, ok := w.held(object{kind, namespace, name}).(T); ok {
			return object, nil
		}
		return get(ctx, name, opts)
	}
}

// claims are those with their volumes.
func (w *worker) claims(ctx context.Context, pod *corev1.Pod, names map[string]bool) (map[string]translate.Claim, error) {
	core := w.k.Kube.CoreV1()
	found, err := fetch(ctx, names, core.PersistentVolumeClaims(pod.Namespace).Get)
	if err != nil {
		return nil, err
	}
	claims := map[string]translate.Claim{}
	for name, claim := range found {
		all, err := fetch(ctx, map[string]bool{claim.Spec.VolumeName: claim.Spec.VolumeName != ""}, core.PersistentVolumes().Get)
		if err != nil {
			return nil, err
		}
		claims[name] = translate.Claim{PersistentVolumeClaim: claim, Volume: all[claim.Spec.VolumeName]}
	}
	return claims, nil
}

// fetch leaves out what does not exist.
func fetch[T any](ctx context.Context, names map[string]bool, get getter[T]) (map[string]T, error) {
	found := map[string]T{}
	for name, wanted := range names {
		if !wanted {
			continue
		}
		object, err := patiently(ctx, func() (T, error) { return get(ctx, name, metav1.GetOptions{}) })
		switch {
		case err == nil:
			found[name] = object
		case !apierrors.IsNotFound(err):
			return nil, fmt.Errorf("get %s: %w", name, err)
		}
	}
	return found, nil
}

// patiently tries again for a moment what is forbidden: the node authorizer learns of a
// pod by a watch of its own, which may lag behind ours.
func patiently[T any](ctx context.Context, try func() (T, error)) (T, error) {
	for wait := 20 * time.Millisecond; ; wait *= 2 {
		result, err := try()
		if !apierrors.IsForbidden(err) || wait > time.Second {
			return result, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return result, err
		}
	}
}

// token asks for one that ends with the pod.
func (k *Controller) token(ctx context.Context, pod *corev1.Pod, want translate.TokenRequest) (token, error) {
	asked := time.Now()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: &want.Seconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID},
	}}
	if want.Audience != "" {
		request.Spec.Audiences = []string{want.Audience}
	}
	made, err := patiently(ctx, func() (*authenticationv1.TokenRequest, error) {
		return k.Kube.CoreV1().ServiceAccounts(pod.Namespace).CreateToken(ctx, pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	})
	if err != nil {
		return token{}, fmt.Errorf("token of service account %s: %w", pod.Spec.ServiceAccountName, err)
	}
	life := want.Seconds // the API server may give another
	if made.Spec.ExpirationSeconds != nil {
		life = *made.Spec.ExpirationSeconds
	}
	return newToken(made.Status.Token, asked, time.Duration(life)*time.Second), nil
}
