package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"cis/api"
	"cis/internal/agent/agentclient"
	"cis/internal/agent/fileset"
	"cis/internal/store"
)

// secretFiles keeps the files of a live instance's secrets as the secrets are.
type secretFiles struct {
	// setting is held while the agent is given them.
	setting sync.Mutex
	// stale: the agent may have older ones.
	stale atomic.Bool
}

const (
	// setLimit is how long the agent may take for the files of a volume.
	setLimit = time.Minute
	// setAgain is when an agent that failed is asked again.
	setAgain = 30 * time.Second
)

// hasSecrets tells whether an instance has files of secrets.
func hasSecrets(spec api.InstanceSpec) bool {
	return slices.ContainsFunc(spec.Volumes, func(v api.Volume) bool { return v.Secret != nil || v.Projected != nil })
}

// setFiles gives the agent the files of all secrets as they are now.
func (l *life) setFiles(ctx context.Context, client *agentclient.Client, in api.Instance) error {
	l.files.stale.Store(false)
	for i := range in.Spec.Volumes {
		v := &in.Spec.Volumes[i]
		if v.Secret == nil && v.Projected == nil {
			continue
		}
		files, err := l.e.filesOf(ctx, in.Account, v)
		if err == nil {
			giveFiles(files, fsGroup(in.Spec))
			err = setFiles(ctx, client, v.Name, files)
		}
		if err != nil {
			return fmt.Errorf("volume %s: %w", v.Name, err)
		}
	}
	return nil
}

func setFiles(ctx context.Context, client *agentclient.Client, volume string, files []fileset.File) error {
	ctx, cancel := context.WithTimeout(ctx, setLimit)
	defer cancel()
	return client.SetFiles(ctx, volume, files)
}

// giveFiles lets a group read the files (compare package fsgroup); nil: none.
func giveFiles(files []fileset.File, group *uint32) {
	if group == nil {
		return
	}
	for i := range files {
		files[i].Group, files[i].Mode = *group, files[i].Mode|0o440
	}
}

// refreshFiles gives the agent the files of secrets that may have changed. Without an
// agent that waits for the next one.
func (l *life) refreshFiles() {
	l.files.setting.Lock()
	defer l.files.setting.Unlock()
	for l.files.stale.Load() {
		l.mu.Lock()
		client, in := l.client, l.rec.Instance
		l.mu.Unlock()
		if client == nil || in.Status.Phase.Finished() {
			return
		}
		if err := l.setFiles(l.e.ctx, client, in); err != nil {
			l.files.stale.Store(true)
			l.notRefreshed(err)
			return
		}
	}
}

// notRefreshed tells of files that stay as they were. What the secret itself lacks comes
// with its next change, and a broken connection is followed by another.
func (l *life) notRefreshed(err error) {
	if l.e.ctx.Err() != nil {
		return
	}
	l.e.log.Warn("the files of secrets are not as the secrets are", "instance", l.id, "error", err)
	l.event(api.EventWarning, "", "FailedMount", "the files of secrets stay as they were: "+err.Error())
	switch api.CodeOf(err) {
	case api.Invalid, api.NotFound, api.Unavailable:
		return
	}
	l.e.wg.Go(func() {
		select {
		case <-time.After(setAgain):
			l.refreshFiles()
		case <-l.done:
		case <-l.e.ctx.Done():
		}
	})
}

// secretChanged has every live instance that shows the secret show it as it is now.
func (e *Engine) secretChanged(owner, name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.lives {
		if rec, _ := l.snapshot(); rec.Account == owner && showsSecret(rec.Spec, name) {
			l.files.stale.Store(true)
			e.wg.Go(l.refreshFiles)
		}
	}
}

// showsSecret tells whether a volume of an instance shows the secret.
func showsSecret(spec api.InstanceSpec, name string) bool {
	return slices.ContainsFunc(spec.Volumes, func(v api.Volume) bool {
		sources, _ := v.Secrets()
		return slices.ContainsFunc(sources, func(s api.SecretProjection) bool { return s.Name == name })
	})
}

// filesOf are the files that a volume of secrets has now.
func (e *Engine) filesOf(ctx context.Context, owner string, v *api.Volume) ([]fileset.File, error) {
	sources, defaultMode := v.Secrets()
	mode, err := parseMode(defaultMode, 0o400)
	if err != nil {
		return nil, err
	}
	all := map[string]fileset.File{}
	for _, s := range sources {
		secret, err := e.cfg.Store.Secret(ctx, owner, s.Name)
		switch {
		case errors.Is(err, store.ErrNotFound) && s.Optional:
			continue
		case errors.Is(err, store.ErrNotFound):
			return nil, noSecret(s.Name)
		case err != nil:
			return nil, err
		}
		files, err := filesOfSecret(secret, s, mode)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			all[f.Path] = f
		}
	}
	return checkFiles(all)
}

// filesOfSecret are those of the keys that a source chooses.
func filesOfSecret(secret api.Secret, s api.SecretProjection, mode uint32) (files []fileset.File, err error) {
	if len(s.Items) == 0 {
		for key, value := range secret.Data {
			files = append(files, fileset.File{Path: key, Mode: mode, Data: value})
		}
	}
	for _, item := range s.Items {
		value, ok := secret.Data[item.Key]
		if !ok && s.Optional {
			continue
		}
		if !ok {
			return nil, api.Errorf(api.NotFound, "secret %s has no key %q", s.Name, item.Key)
		}
		itemMode, err := parseMode(item.Mode, mode)
		if err != nil {
			return nil, err
		}
		files = append(files, fileset.File{Path: item.Path, Mode: itemMode, Data: value})
	}
	return files, nil
}

// checkFiles sorts the files of a volume, and refuses what is too much for one or cannot be
// in one directory.
func checkFiles(all map[string]fileset.File) (files []fileset.File, err error) {
	var size api.Bytes
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for i := range len(name) {
			if above := name[:i]; name[i] == '/' && all[above].Path != "" {
				return nil, api.Errorf(api.Invalid, "the secrets have both a file %q and a file %q", above, name)
			}
		}
		size += api.Bytes(len(all[name].Data))
		files = append(files, all[name])
	}
	if size > api.MaxFiles {
		return nil, api.Errorf(api.Invalid, "the files of the secrets have %d bytes; at most %s are allowed in a volume", size, api.MaxFiles)
	}
	return files, nil
}
