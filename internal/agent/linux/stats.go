package linux

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"cis/internal/agent/agentpb"
)

// Stats implements runtime.Runtime.
func (r *Runtime) Stats(context.Context) (*agentpb.StatsResponse, error) {
	r.mu.Lock()
	all := slices.SortedFunc(maps.Values(r.containers), func(a, b *container) int { return cmp.Compare(a.name, b.name) })
	r.mu.Unlock()
	pids, err := r.pids()
	if err != nil {
		return nil, err
	}
	s := &agentpb.StatsResponse{Pids: pids}
	for _, c := range all {
		of, err := c.stats()
		switch {
		case err == nil:
			s.Containers = append(s.Containers, of)
		case r.has(c):
			return nil, fmt.Errorf("what %s uses: %w", c.name, err)
		}
	}
	return s, nil
}

// has tells whether a container has not been deleted meanwhile.
func (r *Runtime) has(c *container) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.containers[c.name] == c
}

// pids counts the processes and threads of all containers but those that are ours.
func (r *Runtime) pids() (int64, error) {
	all, err := r.groups.Pids(r.conf.Cgroup)
	r.mu.Lock()
	ours := []*container{r.waiting, r.pause}
	r.mu.Unlock()
	for _, c := range ours {
		if err != nil || c == nil {
			continue
		}
		var own int64
		own, err = r.groups.Pids(c.group)
		all -= own
	}
	return max(all, 0), err
}

func (c *container) stats() (*agentpb.ContainerStats, error) {
	usage, err := c.r.groups.Usage(c.group)
	if err != nil {
		return nil, err
	}
	disk, err := used(c.layer)
	return &agentpb.ContainerStats{
		Name: c.name, CpuNanoseconds: int64(usage.CPUSeconds * float64(time.Second)),
		Memory: int64(usage.Memory), MemoryUsage: int64(usage.MemoryUsage), MemoryRss: int64(usage.MemoryRSS), Disk: disk,
	}, err
}

// used is what is on the file system of a directory, in bytes.
func used(dir string) (int64, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return 0, fmt.Errorf("size of the writable layer: %w", err)
	}
	return int64(stat.Blocks-stat.Bfree) * stat.Bsize, nil
}
