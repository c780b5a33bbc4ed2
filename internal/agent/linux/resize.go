package linux

import (
	"context"
	"path"

	"cis/api"
	"cis/internal/cgroup"
)

// Resize implements runtime.Runtime.
func (r *Runtime) Resize(_ context.Context, memory api.Bytes) error {
	r.limiting.Lock()
	defer r.limiting.Unlock()
	usage, err := r.groups.Usage(r.conf.Cgroup)
	if err != nil {
		return err
	}
	if usage.Memory > memory {
		return api.Errorf(api.Exhausted, "the programs use more than %s of memory", memory)
	}
	names, err := r.groups.List(r.conf.Cgroup)
	if err != nil {
		return err
	}
	groups := []string{r.conf.Cgroup}
	for _, name := range names {
		groups = append(groups, path.Join(r.conf.Cgroup, name))
	}
	for _, group := range groups {
		if err := r.groups.Set(group, cgroup.Limits{Memory: memory}); err != nil {
			return err
		}
	}
	r.memory = memory
	return nil
}

// limit gives a container the instance's limit as its own, for programs that look how much
// memory they have.
func (r *Runtime) limit(c *container) error {
	r.limiting.Lock()
	defer r.limiting.Unlock()
	return r.groups.Set(c.group, cgroup.Limits{Memory: r.memory})
}
