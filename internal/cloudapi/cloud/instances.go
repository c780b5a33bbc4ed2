package cloud

import (
	"context"

	"cis/api"
)

// Searcher finds instances, oldest first, and tells how many match; nil matches all.
type Searcher interface {
	Search(ctx context.Context, match func(api.InstanceKeys) bool, offset, limit int) ([]api.Instance, int, error)
}

// Search finds those that pass filters and are among some (nil: all), as Match checks them.
func Search(ctx context.Context, s Searcher, w Window, filters []Filter, field string, known map[string]Property[api.InstanceKeys], among func(api.InstanceKeys) bool) ([]api.Instance, int, error) {
	pass, err := Match(filters, field, known)
	if err != nil {
		return nil, 0, err
	}
	if len(filters) == 0 {
		return s.Search(ctx, among, w.Offset, w.Limit)
	}
	return s.Search(ctx, func(k api.InstanceKeys) bool { return (among == nil || among(k)) && pass(k) }, w.Offset, w.Limit)
}

// Networker shows what instances are on the network by.
type Networker interface {
	VPCs(ctx context.Context) ([]api.VPC, error)
	Subnets(ctx context.Context) ([]api.Subnet, error)
	SecurityGroups(ctx context.Context) ([]api.SecurityGroup, error)
}

// Networks are VPCs, subnets and security groups by name, as specs of instances have
// them.
type Networks struct {
	VPCs    map[string]api.VPC
	Subnets map[string]api.Subnet
	Groups  map[string]api.SecurityGroup
}

// ReadNetworks reads them all.
func ReadNetworks(ctx context.Context, n Networker) (Networks, error) {
	out := Networks{VPCs: map[string]api.VPC{}, Subnets: map[string]api.Subnet{}, Groups: map[string]api.SecurityGroup{}}
	vpcs, err := n.VPCs(ctx)
	if err != nil {
		return out, err
	}
	for _, v := range vpcs {
		out.VPCs[v.Name] = v
	}
	subnets, err := n.Subnets(ctx)
	if err != nil {
		return out, err
	}
	for _, s := range subnets {
		out.Subnets[s.Name] = s
	}
	groups, err := n.SecurityGroups(ctx)
	for _, g := range groups {
		out.Groups[g.Name] = g
	}
	return out, err
}

// CheckID refuses what is not an ID of a kind. Names of things never begin like IDs.
func CheckID(path, prefix, id string) error {
	if len(id) <= len(prefix) || len(id) > 64 || id[:len(prefix)] != prefix {
		return Bad(path, "must be an ID such as %sabcdef12, not %q", prefix, clip(id))
	}
	return nil
}
