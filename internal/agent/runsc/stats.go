package runsc

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"cis/internal/agent/agentpb"
)

// Stats implements runtime.Runtime. A container that is deleted meanwhile is left out.
func (s *Sandbox) Stats(ctx context.Context) (*agentpb.StatsResponse, error) {
	s.mu.Lock()
	all := slices.SortedFunc(maps.Values(s.containers), func(a, b *container) int { return cmp.Compare(a.name, b.name) })
	s.mu.Unlock()
	r := &agentpb.StatsResponse{}
	for _, c := range all {
		of, pids, err := c.stats(ctx)
		switch {
		case err == nil:
			r.Pids += pids
			r.Containers = append(r.Containers, of)
		case s.has(c):
			return nil, fmt.Errorf("what %s uses: %w", c.name, err)
		}
	}
	return r, nil
}

// has tells whether a container has not been deleted meanwhile.
func (s *Sandbox) has(c *container) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.containers[c.name] == c
}

func (c *container) stats(ctx context.Context) (of *agentpb.ContainerStats, pids int64, err error) {
	control := c.sandbox.control
	if pids, err = control.countPids(ctx, c.id); err != nil {
		return nil, 0, err
	}
	cpu, memory, err := control.readCounters(ctx, c.id)
	if err != nil {
		return nil, 0, err
	}
	disk, err := c.disk()
	// gVisor does not tell what of the memory is page cache.
	return &agentpb.ContainerStats{Name: c.name, CpuNanoseconds: max(cpu, leastCPU), Memory: memory, MemoryUsage: memory, Disk: disk}, pids, err
}

// leastCPU is what a program that runs has used at least, in nanoseconds: gVisor counts in
// hundredths of a second, so that one may seem to have used none.
const leastCPU = int64(time.Millisecond)

// countPids counts the processes and threads of a container.
func (c control) countPids(ctx context.Context, id string) (sum int64, err error) {
	var processes []struct {
		Threads []int32 `json:"threads"`
	}
	if err := c.call(ctx, methodProcesses, id, &processes); err != nil {
		return 0, fmt.Errorf("count processes: %w", err)
	}
	for _, p := range processes {
		sum += int64(len(p.Threads))
	}
	return sum, nil
}

// counterFile is a file of gVisor's own cgroups (control.CgroupControlFile).
type counterFile struct {
	Controller string `json:"controller"`
	Path       string `json:"path"`
	Name       string `json:"name"`
}

// readCounters reads a container's cpu time in nanoseconds and its memory.
func (c control) readCounters(ctx context.Context, id string) (cpu, memory int64, err error) {
	type argument struct {
		File counterFile `json:"file"`
	}
	request := struct {
		Args []argument `json:"args"`
	}{[]argument{{counterFile{"cpuacct", "/" + id, "cpuacct.usage"}}, {counterFile{"memory", "/" + id, "memory.usage_in_bytes"}}}}
	var answer struct {
		Results []struct {
			Value string `json:"value"`
			Fails bool   `json:"is_error"`
		} `json:"results"`
	}
	if err := c.call(ctx, methodCounters, request, &answer); err != nil {
		return 0, 0, fmt.Errorf("read counters: %w", err)
	}
	if len(answer.Results) != len(request.Args) {
		return 0, 0, fmt.Errorf("read counters: %d results of %d", len(answer.Results), len(request.Args))
	}
	for i, to := range []*int64{&cpu, &memory} {
		result := answer.Results[i]
		if result.Fails {
			return 0, 0, fmt.Errorf("read %s: %s", request.Args[i].File.Name, result.Value)
		}
		if *to, err = strconv.ParseInt(result.Value, 10, 64); err != nil {
			return 0, 0, fmt.Errorf("read %s: %w", request.Args[i].File.Name, err)
		}
	}
	return cpu, memory, nil
}

// disk is what the writable layer takes, in bytes.
func (c *container) disk() (int64, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(int(c.store.Fd()), &stat); err != nil {
		return 0, fmt.Errorf("size of the writable layer of %s: %w", c.name, err)
	}
	return stat.Blocks * 512, nil
}
