package servertest

import (
	"context"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"cis/api"
	"cis/internal/server"
)

// event needs the lock.
func (e *Engine) event(in *instance, reason, message string) {
	e.events = append(e.events, api.Event{
		ID: int64(len(e.events) + 1), InstanceID: in.ID, Instance: in.Spec.Name, Type: api.EventNormal,
		Reason: reason, Message: message, FirstSeen: time.Now(), LastSeen: time.Now(), Count: 1,
	})
}

// Events implements server.Engine.
func (e *Engine) Events(_ context.Context, opts server.EventOptions) (api.List[api.Event], error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var list api.List[api.Event]
	for _, event := range e.events {
		if event.ID <= opts.Since || opts.Instance != "" && opts.Instance != event.Instance {
			continue
		}
		if opts.Limit > 0 && len(list.Items) == opts.Limit {
			list.Continue = "more"
			break
		}
		list.Items = append(list.Items, event)
	}
	return list, nil
}

// WatchEvents implements server.Engine.
func (e *Engine) WatchEvents(ctx context.Context, opts server.EventOptions, fn func(api.Event) error) error {
	for {
		var event *api.Event
		err := e.await(ctx, func() bool {
			for _, candidate := range e.events {
				if candidate.ID > opts.Since && (opts.Instance == "" || opts.Instance == candidate.Instance) {
					event = &candidate
					return true
				}
			}
			return false
		})
		if err != nil {
			return err
		}
		opts.Since = event.ID
		if err := fn(*event); err != nil {
			return err
		}
	}
}

// PullImage knows every image but those named missing (which fail at once) and
// broken (which fail midway).
func (e *Engine) PullImage(_ context.Context, req api.ImagePull, progress func(api.Progress)) (api.Image, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.Pulls = append(e.Pulls, req)
	failure := api.Errorf(api.NotFound, "the registry has no image %s", req.Ref)
	if strings.Contains(req.Ref, "missing") {
		return api.Image{}, failure
	}
	progress(api.Progress{Status: "Resolving"})
	progress(api.Progress{Status: "Downloading", Layer: "abc", Current: 1, Total: 2})
	if strings.Contains(req.Ref, "broken") {
		return api.Image{}, failure
	}
	image := api.Image{Digest: "sha256:" + strings.Repeat("0", 64), Refs: []string{req.Ref}, Size: api.MiB, LastUsed: time.Now()}
	e.images[req.Ref] = image
	return image, nil
}

// ImportImage takes anything; its size is that of what was sent.
func (e *Engine) ImportImage(_ context.Context, ref string, r io.Reader, progress func(api.Progress)) (api.Image, error) {
	progress(api.Progress{Status: "Flattening"})
	n, err := io.Copy(io.Discard, r)
	if err != nil {
		return api.Image{}, err
	}
	image := api.Image{Digest: "sha256:" + strings.Repeat("1", 64), Refs: []string{ref}, Size: api.Bytes(n), LastUsed: time.Now()}
	e.change(func() { e.images[ref] = image })
	return image, nil
}

// Images implements server.Engine.
func (e *Engine) Images(context.Context) ([]api.Image, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Values(e.images)), nil
}

// RemoveImage implements server.Engine.
func (e *Engine) RemoveImage(_ context.Context, ref string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.images[ref]; !ok {
		return api.Errorf(api.NotFound, "there is no image %s", ref)
	}
	delete(e.images, ref)
	return nil
}

// PutSecret implements server.Engine.
func (e *Engine) PutSecret(_ context.Context, s api.Secret) (api.Secret, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s.Keys, s.Data, s.CreatedAt = slices.Sorted(maps.Keys(s.Data)), nil, time.Now()
	e.secrets[s.Name] = s
	return s, nil
}

// Secrets implements server.Engine.
func (e *Engine) Secrets(context.Context) ([]api.Secret, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Values(e.secrets)), nil
}

// RemoveSecret implements server.Engine.
func (e *Engine) RemoveSecret(_ context.Context, name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.secrets[name]; !ok {
		return api.Errorf(api.NotFound, "there is no secret %s", name)
	}
	delete(e.secrets, name)
	return nil
}

// Info implements server.Engine.
func (e *Engine) Info(context.Context) (api.Info, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	info := api.Info{Host: "test", CPUs: 4, Instances: map[api.Phase]int{}, Images: len(e.images)}
	for _, in := range e.instances {
		info.Instances[in.Status.Phase]++
	}
	info.Capacity = api.Capacity{CPU: 4000, Memory: 8 * api.GiB}
	return info, nil
}
