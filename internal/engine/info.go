package engine

import (
	"context"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"cis/api"
	"cis/internal/account"
	"cis/internal/network"
)

// Info describes what the account can have and has, and the host to who runs the service.
func (e *Engine) Info(ctx context.Context) (api.Info, error) {
	c := account.Of(ctx)
	counts, err := e.cfg.Store.CountInstances(ctx, c.Account)
	if err != nil {
		return api.Info{}, err
	}
	l := e.cfg.Limits
	info := api.Info{Version: e.cfg.Version, DefaultSize: l.DefaultSize, Sizes: l.Sizes, AnySize: l.AnySize,
		Isolations: e.isolations(ctx), Instances: counts, Network: e.networks.home(c.Account)}
	info.Disks, _ = e.disks.counts(c.Account)
	info.DisksSize, _ = e.disks.sizes(c.Account)
	for _, im := range e.imagesOf(c.Account) {
		info.Images++
		info.ImagesSize += api.Bytes(im.DiskSize)
	}
	if a, _ := e.identities.account(c.Account); len(a.Sizes) > 0 {
		info.Sizes, info.AnySize = a.Sizes, false
	}
	if !c.System {
		return info, nil
	}
	info.Host, _ = os.Hostname()
	info.MachineID, info.BootID = firstLine("/etc/machine-id"), firstLine("/proc/sys/kernel/random/boot_id")
	info.Kernel, info.CPUs, info.Memory, info.DataDir = kernelRelease(), l.CPUs, l.Memory, e.cfg.DataDir
	info.Capacity, info.Standby, info.ImagesMaxSize = e.capacity.info(), e.pool.info(), l.ImagesMaxSize
	info.HostUsage, err = hostUsage(e.cfg.DataDir)
	return info, err
}

// home is the subnet of those of an account's instances that ask for none.
func (n *networks) home(owner string) api.NetworkInfo {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.subnets[defaultSubnet]
	if own, err := n.subnet(owner, api.DefaultName); err == nil && owner != "" {
		s = own
	}
	used, free := s.addresses.usage()
	return api.NetworkInfo{VPC: s.VPC, CIDR: s.CIDR, Gateway: network.Gateway.String(), Used: used, Available: free}
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

// firstLine of a file; empty if there is none.
func firstLine(file string) string {
	data, _ := os.ReadFile(file)
	line, _, _ := strings.Cut(string(data), "\n")
	return line
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
		if !account.Of(ctx).Owns(m.account) {
			continue
		}
		rx, tx, err := e.cfg.Network.Counters(ctx, m.nic.ID)
		if err == nil {
			all = append(all, api.Traffic{ID: m.nic.Instance, Name: m.name, VPC: e.networks.vpcOf(m.nic.Instance).Name, RxBytes: rx, TxBytes: tx})
		}
	}
	slices.SortFunc(all, func(a, b api.Traffic) int { return strings.Compare(a.ID, b.ID) })
	return all, ctx.Err()
}
