package engine

import (
	"context"
	"errors"
	"fmt"
	"io"

	"cis/api"
	"cis/internal/account"
	"cis/internal/image"
)

// PullImage fetches an image as the request's policy says.
func (e *Engine) PullImage(ctx context.Context, req api.ImagePull, progress func(api.Progress)) (api.Image, error) {
	if err := oneAccount(ctx); err != nil {
		return api.Image{}, err
	}
	auths, err := e.registryAuths(ctx, account.Of(ctx).Account, req.Secrets, req.Auth)
	if err != nil {
		return api.Image{}, err
	}
	policy := req.Policy
	if policy == "" {
		policy = api.PullAlways
	}
	lease, err := e.ensureImage(ctx, account.Of(ctx).Account, image.Request{Ref: req.Ref, Policy: policy, Auths: auths,
		Progress: func(p image.Progress) { progress(progressOf(p)) }})
	if err != nil {
		return api.Image{}, err
	}
	defer lease.Release()
	return e.imageOf(lease.Image), nil
}

func progressOf(p image.Progress) api.Progress {
	out := api.Progress{Status: string(p.Phase), Current: p.Bytes, Total: p.TotalBytes}
	if p.Layers > 0 {
		out.Layer = fmt.Sprintf("%d of %d", p.LayersDone, p.Layers)
	}
	return out
}

// ImportImage reads an OCI layout, docker-archive or rootfs tar; of several
// images in it the last is returned, and each is told to progress.
func (e *Engine) ImportImage(ctx context.Context, ref string, r io.Reader, progress func(api.Progress)) (api.Image, error) {
	if err := oneAccount(ctx); err != nil {
		return api.Image{}, err
	}
	owner := account.Of(ctx).Account
	if err := e.fitsImages(owner); err != nil {
		return api.Image{}, err
	}
	progress(api.Progress{Status: "importing"})
	images, err := e.cfg.Images.Import(ctx, r, image.ImportOptions{Owner: imageOwner(owner), Ref: ref})
	if err == nil {
		err = e.fitsImages(owner)
	}
	if api.CodeOf(err) == api.Exhausted {
		for _, im := range images {
			err = errors.Join(err, e.cfg.Images.Remove(imageOwner(owner), im.Digest))
		}
		return api.Image{}, err
	}
	var last api.Image
	for _, im := range images {
		last = e.imageOf(im)
		progress(api.Progress{Status: "imported", Image: &last})
	}
	return last, err
}

// Images lists the account's images on disk.
func (e *Engine) Images(ctx context.Context) ([]api.Image, error) {
	all := []api.Image{}
	for _, im := range e.imagesOf(account.Of(ctx).Account) {
		all = append(all, e.imageOf(im))
	}
	return all, nil
}

func (e *Engine) imagesOf(owner string) []image.Image {
	if owner == "" {
		return e.cfg.Images.All()
	}
	return e.cfg.Images.List(imageOwner(owner))
}

// imageOwner is who an account is to the images: the default one is the operator.
func imageOwner(name string) string {
	if name == account.Default {
		return ""
	}
	return name
}

// RemoveImage removes a reference of the account, and with the last of all the image.
func (e *Engine) RemoveImage(ctx context.Context, ref string) error {
	if err := oneAccount(ctx); err != nil {
		return err
	}
	return e.cfg.Images.Remove(imageOwner(account.Of(ctx).Account), ref)
}

// ensureImage gets an image for an account, within its quota.
func (e *Engine) ensureImage(ctx context.Context, owner string, req image.Request) (*image.Lease, error) {
	req.Owner = imageOwner(owner)
	lease, err := e.cfg.Images.Ensure(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := e.fitsImages(owner); err != nil {
		lease.Release()
		return nil, errors.Join(err, e.cfg.Images.Remove(req.Owner, req.Ref))
	}
	return lease, nil
}

func (e *Engine) imageOf(im image.Image) api.Image {
	return api.Image{Digest: im.Digest, Refs: im.Refs, Size: api.Bytes(im.DiskSize), CompressedSize: api.Bytes(im.CompressedSize),
		Created: im.Created, LastUsed: im.LastUsed, InUse: e.imageUsers(im.Digest)}
}

// imageUsers counts the live instances that run an image.
func (e *Engine) imageUsers(digest string) (users int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.lives {
		rec, _ := l.snapshot()
		for _, d := range rec.Run.Images {
			if d == digest {
				users++
				break
			}
		}
	}
	return users
}
