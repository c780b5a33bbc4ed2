package engine

import (
	"context"
	"fmt"
	"io"

	"cis/api"
	"cis/internal/account"
	"cis/internal/image"
)

// PullImage fetches an image as the request's policy says.
func (e *Engine) PullImage(ctx context.Context, req api.ImagePull, progress func(api.Progress)) (api.Image, error) {
	auths, err := e.registryAuths(ctx, account.Of(ctx).Account, req.Secrets, req.Auth)
	if err != nil {
		return api.Image{}, err
	}
	policy := req.Policy
	if policy == "" {
		policy = api.PullAlways
	}
	lease, err := e.cfg.Images.Ensure(ctx, image.Request{Ref: req.Ref, Policy: policy, Auths: auths,
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
	progress(api.Progress{Status: "importing"})
	images, err := e.cfg.Images.Import(ctx, r, image.ImportOptions{Ref: ref})
	var last api.Image
	for _, im := range images {
		last = e.imageOf(im)
		progress(api.Progress{Status: "imported", Image: &last})
	}
	return last, err
}

// Images lists the images on disk.
func (e *Engine) Images(context.Context) ([]api.Image, error) {
	all := []api.Image{}
	for _, im := range e.cfg.Images.List() {
		all = append(all, e.imageOf(im))
	}
	return all, nil
}

// RemoveImage removes a reference, and with its last one the image.
func (e *Engine) RemoveImage(_ context.Context, ref string) error {
	return e.cfg.Images.Remove(ref)
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
