package linux

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/nfs"
)

// mountShares mounts the volumes that servers have. A failure names the volume's field.
func (r *Runtime) mountShares(ctx context.Context, w *agentpb.Workload) error {
	for i, v := range w.Volumes {
		if v.NFS == nil || r.nfsShare(v.Name) != nil {
			continue
		}
		share, err := r.conf.Share(ctx, w, v)
		if err != nil {
			failure := api.Errorf(api.Unavailable, "%w", err).
				WithNext("look at the server's exports and at the rules between it and the instance: TCP port 2049, for version 3 that of the portmapper and of mountd too")
			failure.Field = fmt.Sprintf("volumes[%d].nfs", i)
			return failure
		}
		r.mu.Lock()
		r.shares[v.Name], r.volumes[v.Name] = share, share.Dir()
		r.mu.Unlock()
	}
	return nil
}

// nfsShare is a volume that a server has; nil if the volume is none.
func (r *Runtime) nfsShare(volume string) *nfs.Share {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.shares[volume]
}

func (r *Runtime) allShares() []*nfs.Share {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Values(r.shares))
}

// releaseShares lets go of all servers at once.
func (r *Runtime) releaseShares() error {
	shares := r.allShares()
	errs := make([]error, len(shares))
	var group sync.WaitGroup
	for i, share := range shares {
		group.Go(func() { errs[i] = share.Release() })
	}
	group.Wait()
	return errors.Join(errs...)
}

// serverPatience is how long what shall end may wait for a server.
const serverPatience = 5 * time.Second

// abortShares lets what waits for a server fail, from a moment on and again and again until
// done is closed: it is to end, and a server that is away would keep it for ever. As long as
// there is a container that is to go on, that one's files come first.
func (r *Runtime) abortShares(done <-chan struct{}) {
	shares := r.allShares()
	if len(shares) == 0 {
		return
	}
	for {
		select {
		case <-done:
			return
		case <-time.After(serverPatience):
		}
		if r.goesOn() {
			continue
		}
		for _, share := range shares {
			_ = share.Abort() // tried again as long as there is need
		}
	}
}

// goesOn tells whether a container runs that was not killed.
func (r *Runtime) goesOn() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.containers {
		select {
		case <-c.main.ended:
		default:
			if !c.killed.Load() {
				return true
			}
		}
	}
	return false
}
