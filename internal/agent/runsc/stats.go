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

// Stats implements runtime.Runtime.
func (s *Sandbox) Stats(ctx context.Context) (*agentpb.StatsResponse, error) {
	s.mu.Lock()
	all := slices.SortedFunc(maps.Values(s.containers), func(a, b *container) int { return cmp.Compare(a.name, b.name) })
	s.mu.Unlock()
	pids, err := s.control.countPids(ctx, all)
	if err != nil {
		return nil, err
	}
	counts, err := s.control.readCounters(ctx, all)
	if err != nil {
		return nil, err
	}
	r := &agentpb.StatsResponse{Pids: pids}
	for i, c := range all {
		of := counts[i*len(counters):]
		disk, err := c.disk()
		if err != nil {
			return nil, err
		}
		// gVisor does not tell what of the memory is page cache.
		r.Containers = append(r.Containers, &agentpb.ContainerStats{
			Name: c.name, CpuNanoseconds: max(of[0], leastCPU), Memory: of[1], MemoryUsage: of[1], Disk: disk,
		})
	}
	return r, nil
}

// leastCPU is what a program that runs has used at least, in nanoseconds: gVisor counts in
// hundredths of a second, so that one may seem to have used none.
const leastCPU = int64(time.Millisecond)

// countPids counts the processes and threads of containers.
func (c control) countPids(ctx context.Context, all []*container) (int64, error) {
	var sum int64
	for _, one := range all {
		var processes []struct {
			Threads []int32 `json:"threads"`
		}
		if err := c.call(ctx, methodProcesses, one.id, &processes); err != nil {
			return 0, fmt.Errorf("count processes: %w", err)
		}
		for _, p := range processes {
			sum += int64(len(p.Threads))
		}
	}
	return sum, nil
}

// counterFile is a file of gVisor's own cgroups (control.CgroupControlFile).
type counterFile struct {
	Controller string `json:"controller"`
	Path       string `json:"path"`
	Name       string `json:"name"`
}

// counters are read of each container.
var counters = []counterFile{
	{Controller: "cpuacct", Name: "cpuacct.usage"}, // in nanoseconds
	{Controller: "memory", Name: "memory.usage_in_bytes"},
}

// readCounters reads those of containers, one container's after another's.
func (c control) readCounters(ctx context.Context, all []*container) ([]int64, error) {
	type argument struct {
		File counterFile `json:"file"`
	}
	var request struct {
		Args []argument `json:"args"`
	}
	for _, one := range all {
		for _, file := range counters {
			file.Path = "/" + one.id
			request.Args = append(request.Args, argument{file})
		}
	}
	var answer struct {
		Results []struct {
			Value string `json:"value"`
			Fails bool   `json:"is_error"`
		} `json:"results"`
	}
	if err := c.call(ctx, methodCounters, request, &answer); err != nil {
		return nil, fmt.Errorf("read what containers use: %w", err)
	}
	if len(answer.Results) != len(request.Args) {
		return nil, fmt.Errorf("read what containers use: %d results of %d", len(answer.Results), len(request.Args))
	}
	values := make([]int64, len(answer.Results))
	for i, result := range answer.Results {
		value, err := strconv.ParseInt(result.Value, 10, 64)
		if err != nil || result.Fails {
			return nil, fmt.Errorf("read %s of container %s: %s", request.Args[i].File.Name, request.Args[i].File.Path, result.Value)
		}
		values[i] = value
	}
	return values, nil
}

// disk is what the writable layer takes, in bytes.
func (c *container) disk() (int64, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(int(c.store.Fd()), &stat); err != nil {
		return 0, fmt.Errorf("size of the writable layer of %s: %w", c.name, err)
	}
	return stat.Blocks * 512, nil
}
