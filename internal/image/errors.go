package image

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
	"syscall"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"cis/api"
)

// pullError says what went wrong with a pull, in words a user can act on.
func pullError(ref name.Reference, withAuth bool, err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return api.Errorf(api.Exhausted, "no space is left for image %s: %w", canonical(ref), err).
			WithNext("free disk space, or remove images with `cis image rm`")
	}
	registry := registryName(ref)
	// First of all, as a loopback registry is asked over http as well, and
	// its answer to that says nothing.
	if isTLS(err) {
		return api.Errorf(api.Unavailable, "the certificate of registry %s is not trusted: %w", registry, err).
			WithNext("give the server the registry's CA, or check the registry's name")
	}
	if e, ok := errors.AsType[*transport.Error](err); ok {
		return refused(ref, withAuth, e)
	}
	// Go's client says this when a TLS handshake is answered in plain text
	// (net/http, transport.go).
	if strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return errPlainHTTP(registry)
	}
	if e, ok := errors.AsType[*api.Error](err); ok {
		return about("image "+canonical(ref), e, err)
	}
	// The registry library's words for a manifest that is not what was asked.
	if strings.Contains(err.Error(), "does not match requested digest") {
		return api.Errorf(api.Invalid, "registry %s gives a damaged manifest for %s: %w", registry, canonical(ref), err).
			WithNext("push the image again, or check the registry's storage")
	}
	return api.Errorf(api.Unavailable, "registry %s cannot be reached: %w", registry, err).
		WithNext("check the registry's address and the network")
}

// refused is about an answer of the registry that is an error.
func refused(ref name.Reference, withAuth bool, e *transport.Error) error {
	registry, said := registryName(ref), diagnosis(e)
	switch e.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		code := api.Unauthenticated
		if e.StatusCode == http.StatusForbidden {
			code = api.Forbidden
		}
		err := api.Errorf(code, "registry %s refuses to give %s: %s", registry, canonical(ref), said)
		if withAuth {
			return err.WithNext("check the credentials for %s, and that they may pull this image", registry)
		}
		return err.WithNext("give credentials for %s with --registry-auth, a pull secret or docker's config.json; or check the image's name", registry)
	case http.StatusNotFound:
		return api.Errorf(api.NotFound, "registry %s has no image %s: %s", registry, canonical(ref), said).
			WithNext("check the name and the tag")
	case http.StatusTooManyRequests:
		return api.Errorf(api.Unavailable, "registry %s limits how much may be pulled: %s", registry, said).
			WithNext("wait, or give credentials with a higher limit")
	case http.StatusBadRequest:
		if strings.Contains(e.Error(), "HTTP request to an HTTPS server") {
			return api.Errorf(api.Unavailable, "registry %s speaks https, and was asked over http", registry).
				WithNext("check its certificate, and take it off the insecure registries")
		}
	}
	return api.Errorf(api.Unavailable, "registry %s failed: %s", registry, said).
		WithNext("try again later")
}

// diagnosis is what the registry itself says, bounded.
func diagnosis(e *transport.Error) string {
	var said []string
	for _, d := range e.Errors {
		said = append(said, strings.TrimSuffix(string(d.Code)+": "+d.Message, ": "))
	}
	if len(said) == 0 {
		said = append(said, http.StatusText(e.StatusCode))
	}
	s := strings.Join(said, "; ")
	return s[:min(len(s), 300)]
}

func isTLS(err error) bool {
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	return unknown || host || invalid
}

// mayPass says whether trying once more can help against err.
func mayPass(err error) bool {
	if e, ok := errors.AsType[*transport.Error](err); ok {
		return e.StatusCode >= 500 || e.StatusCode == http.StatusTooManyRequests || e.StatusCode == http.StatusRequestTimeout
	}
	if _, ok := errors.AsType[*api.Error](err); ok {
		return false
	}
	return !isTLS(err) && !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT)
}

// denied says whether other credentials may do better.
func denied(err error) bool {
	e, ok := errors.AsType[*transport.Error](err)
	return ok && (e.StatusCode == http.StatusUnauthorized || e.StatusCode == http.StatusForbidden)
}

// about returns e, which is at the bottom of err, with all that is said around
// it and what it is about.
func about(what string, e *api.Error, err error) *api.Error {
	whole := *e
	whole.Message = what + ": " + strings.TrimSuffix(err.Error(), e.Error()) + e.Message
	return &whole
}
