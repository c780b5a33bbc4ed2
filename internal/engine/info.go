package engine

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cis/api"
	"cis/internal/agent/agentclient"
	"cis/internal/network"
	"cis/internal/store"
)

// Info describes the host and what is given of it.
func (e *Engine) Info(ctx context.Context) (api.Info, error) {
	counts, err := e.cfg.Store.CountInstances(ctx)
	if err != nil {
		return api.Info{}, err
	}
	l := e.cfg.Limits
	host, _ := os.Hostname()
	home := e.networks.subnetOf("")
	used, free := home.addresses.usage()
	info := api.Info{
		Version: e.cfg.Version, Host: host, Kernel: kernelRelease(), CPUs: l.CPUs, Memory: l.Memory, DataDir: e.cfg.DataDir,
		DefaultSize: l.DefaultSize, Sizes: l.Sizes, AnySize: l.AnySize, Capacity: e.capacity.info(), Isolations: e.isolations(ctx),
		Standby: e.pool.info(), Instances: counts, ImagesMaxSize: l.ImagesMaxSize,
		Network: api.NetworkInfo{VPC: home.VPC, CIDR: home.CIDR, Gateway: network.Gateway.String(), Used: used, Available: free},
	}
	info.Disks, info.DisksSize = e.disks.count(), e.disks.disksSize()
	for _, im := range e.cfg.Images.List() {
		info.Images++
		info.ImagesSize += api.Bytes(im.DiskSize)
	}
	return info, nil
}

func (e *Engine) isolations(ctx context.Context) (all []api.IsolationInfo) {
	for _, iso := range []api.Isolation{api.IsolationVM, api.IsolationGVisor} {
		i := api.IsolationInfo{Isolation: iso, Default: iso == e.cfg.Default, Detail: "this cisd has no machine for it"}
		if m := e.cfg.Machines[iso]; m != nil {
			detail, err := m.Check(ctx)
			i.Available, i.Detail = err == nil, detail
			if err != nil {
				i.Detail = err.Error()
			}
		}
		all = append(all, i)
	}
	return all
}

func kernelRelease() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// Traffic reads the counters of every live instance that has a NIC. One that is just
// leaving is left out.
func (e *Engine) Traffic(ctx context.Context) ([]api.Traffic, error) {
	var all []api.Traffic
	for _, m := range e.networks.wired() {
		rx, tx, err := e.cfg.Network.Counters(ctx, m.nic.ID)
		if err == nil {
			all = append(all, api.Traffic{ID: m.nic.Instance, Name: m.name, VPC: e.networks.vpcOf(m.nic.Instance).Name, RxBytes: rx, TxBytes: tx})
		}
	}
	slices.SortFunc(all, func(a, b api.Traffic) int { return strings.Compare(a.ID, b.ID) })
	return all, ctx.Err()
}

// stats reads what a live instance's sandbox uses.
func (e *Engine) stats(ctx context.Context, rec store.Instance, client *agentclient.Client) (api.Stats, error) {
	m, err := e.machine(rec.Status.Isolation)
	if err != nil {
		return api.Stats{}, err
	}
	usage, err := m.Stats(ctx, rec.Run.Sandbox)
	if err != nil {
		return api.Stats{}, err
	}
	rx, tx, err := e.cfg.Network.Counters(ctx, rec.Run.Sandbox)
	if err != nil {
		return api.Stats{}, err
	}
	pids, err := client.Pids(ctx)
	if err != nil {
		return api.Stats{}, err
	}
	s := api.Stats{ID: rec.ID, Name: rec.Spec.Name, Time: time.Now().UTC(), CPUSeconds: usage.CPUSeconds, CPULimit: rec.Spec.CPU,
		Memory: usage.Memory, MemoryLimit: rec.Spec.Memory, Pids: pids, PidsLimit: e.cfg.Limits.Pids, RxBytes: rx, TxBytes: tx}
	if rec.Status.StartedAt != nil {
		if up := time.Since(*rec.Status.StartedAt).Seconds(); up > 0 {
			s.CPU = usage.CPUSeconds / up
		}
	}
	return s, nil
}
