package image

import (
	"context"

	"github.com/google/go-containerregistry/pkg/name"

	"cis/api"
)

// Request is what Ensure is asked for.
type Request struct {
	// Owner of the image's name; empty: the operator. What another owner has pulled is
	// pulled again, for proof, though not downloaded.
	Owner string
	// Ref is the image's reference, complete or not: see Normalize.
	Ref string
	// Policy says when to ask the registry; empty means IfNotPresent.
	Policy api.PullPolicy
	// Auths are tried in order, those for other registries left out. With
	// none for the image's registry, docker's config.json is asked, if the operator asks.
	Auths []Auth
	// Progress is called now and then while a pull runs, by the goroutine
	// that called Ensure.
	Progress func(Progress)
}

// Ensure makes sure that the image is here, pulling it if the policy says so,
// and returns a lease of it. Calls for the same image with the same credentials
// share one pull, which ends when the last of them is cancelled; what it has
// downloaded is used by the next.
//
// Errors are *api.Error: Invalid (a bad reference, a damaged or hostile image),
// NotFound (at the registry, or here with Never), Unauthenticated and Forbidden
// (by the registry), Unavailable (the registry does not answer as it should),
// Exhausted (no disk space); or ctx's own.
func (s *Store) Ensure(ctx context.Context, req Request) (*Lease, error) {
	ref, err := s.registry.parse(req.Ref)
	if err != nil {
		return nil, err
	}
	full := canonical(ref)
	if req.Policy != api.PullAlways {
		if l := s.lease(func() string { return s.refs[nameOf(req.Owner, full)] }); l != nil {
			return l, nil
		}
	}
	switch req.Policy {
	case api.PullAlways, api.PullIfNotPresent, "":
	case api.PullNever:
		return nil, api.Errorf(api.NotFound, "image %s is not on this machine, and the pull policy is Never", full).
			WithNext("pull it with `cis image pull`, or choose the policy IfNotPresent")
	default:
		return nil, api.FieldError("imagePullPolicy", "%.40q is not a pull policy", string(req.Policy)).
			WithNext("use Always, IfNotPresent or Never")
	}
	auths, err := s.candidates(ref, req.Owner, req.Auths)
	if err != nil {
		return nil, api.Errorf(api.Internal, "%w", err).WithNext("repair the file, or take it out of the server's configuration")
	}
	return s.pulls.do(ctx, flightKey(nameOf(req.Owner, full), auths), req.Progress, func(ctx context.Context, t *tracker) (*Lease, error) {
		return s.pull(ctx, req.Owner, ref, auths, t)
	})
}

// pull is the work that calls of Ensure share.
func (s *Store) pull(ctx context.Context, owner string, ref name.Reference, auths []Auth, t *tracker) (*Lease, error) {
	withAuth := auths[0] != Auth{}
	src, err := s.resolve(ctx, ref, auths)
	if err != nil {
		return nil, pullError(ref, withAuth, err)
	}
	lease, err := s.ensureDigest(ctx, src, t)
	if err != nil {
		return nil, pullError(ref, withAuth, err)
	}
	if err := s.tag(nameOf(owner, canonical(ref)), src.digest); err != nil {
		lease.Release()
		return nil, pullError(ref, withAuth, err)
	}
	if _, err := s.Collect(ctx); err != nil {
		s.opts.Log.Warn("collect images", "err", err)
	}
	// The lease was taken before the name was given: take it anew.
	defer lease.Release()
	return lease.again(), nil
}

// ensureDigest leases the image that src leads to, downloading and building it
// unless it is here.
func (s *Store) ensureDigest(ctx context.Context, src *source, t *tracker) (*Lease, error) {
	unlock, err := s.building.Lock(ctx, src.digest)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if l, err := s.Lease(src.digest); err == nil {
		return l, nil
	}
	return s.download(ctx, src, t)
}
