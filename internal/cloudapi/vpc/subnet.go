package vpc

import (
	"context"
	"strings"

	"cis/api"
	"cis/internal/cloudapi/cloud"
)

func (p *product) subnetActions() []cloud.Action {
	return []cloud.Action{
		cloud.Changes("CreateSubnet", func(r *CreateSubnetRequest) string { return r.SubnetName }, p.createSubnet),
		cloud.Changes("DeleteSubnet", func(r *DeleteSubnetRequest) string { return r.SubnetId }, p.deleteSubnet),
		cloud.Reads("DescribeSubnets", nil, p.describeSubnets),
		cloud.Changes("ModifySubnetAttribute", func(r *ModifySubnetAttributeRequest) string { return r.SubnetId }, p.modifySubnet),
	}
}

var subnetNames = cloud.Names{Whole: map[string]string{"name": "SubnetName", "cidr": "CidrBlock", "vpc": "VpcId"}, Parts: []string{"labels", "Tags"}}

func (p *product) createSubnet(ctx context.Context, r *CreateSubnetRequest) (*CreateSubnetResponse, error) {
	if err := p.place.CheckZone("Zone", r.Zone); err != nil {
		return nil, err
	}
	v, err := p.findVPC(ctx, r.VpcId)
	if err != nil {
		return nil, err
	}
	labels, err := labels(r.Tags)
	if err != nil {
		return nil, err
	}
	s := api.Subnet{Name: r.SubnetName, VPC: v.ID, CIDR: r.CidrBlock, Labels: labels}
	s.Default()
	if err := s.Validate(); err != nil {
		return nil, tell(err, subnetNames)
	}
	if s, err = p.engine.CreateSubnet(ctx, s); err != nil {
		return nil, tell(err, subnetNames)
	}
	shown := p.subnetOf(s, map[string]string{v.Name: v.ID})
	return &CreateSubnetResponse{&shown}, nil
}

// findSubnet reads a subnet by its ID.
func (p *product) findSubnet(ctx context.Context, id string) (api.Subnet, error) {
	if err := cloud.CheckID("SubnetId", "subnet-", id); err != nil {
		return api.Subnet{}, err
	}
	s, err := p.engine.Subnet(ctx, id)
	return s, missing(err, "SubnetId", id)
}

func (p *product) deleteSubnet(ctx context.Context, r *DeleteSubnetRequest) (*cloud.Nothing, error) {
	s, err := p.findSubnet(ctx, r.SubnetId)
	if err != nil {
		return nil, err
	}
	return &cloud.Nothing{}, p.engine.RemoveSubnet(ctx, s.ID)
}

func (p *product) modifySubnet(ctx context.Context, r *ModifySubnetAttributeRequest) (*cloud.Nothing, error) {
	s, err := p.findSubnet(ctx, r.SubnetId)
	if err != nil {
		return nil, err
	}
	return &cloud.Nothing{}, sameName("SubnetName", r.SubnetName, s.Name)
}

func (p *product) describeSubnets(ctx context.Context, r *DescribeSubnetsRequest) (*DescribeSubnetsResponse, error) {
	all, err := p.engine.Subnets(ctx)
	if err != nil {
		return nil, err
	}
	vpcs, err := p.engine.VPCs(ctx)
	if err != nil {
		return nil, err
	}
	ids := map[string]string{}
	for _, v := range vpcs {
		ids[v.Name] = v.ID
	}
	known := map[string]cloud.Property[api.Subnet]{
		"subnet-name": func(s api.Subnet, v string) bool { return strings.Contains(s.Name, v) },
		"subnet-id":   func(s api.Subnet, v string) bool { return s.ID == v },
		"vpc-id":      func(s api.Subnet, v string) bool { return ids[s.VPC] == v },
		"cidr-block":  func(s api.Subnet, v string) bool { return s.CIDR == v },
		"is-default":  func(s api.Subnet, v string) bool { return isBool(v, s.Name == api.DefaultName) },
		"zone":        func(_ api.Subnet, v string) bool { return p.place.Zone == v },
	}
	list, total, err := choose(all, chosen[api.Subnet]{idField: "SubnetIds", ids: r.SubnetIds, id: func(s api.Subnet) string { return s.ID },
		filters: r.Filters, known: known, labels: func(s api.Subnet) map[string]string { return s.Labels }}, plain(r.Offset), plain(r.Limit))
	out := &DescribeSubnetsResponse{TotalCount: total}
	for _, s := range list {
		out.SubnetSet = append(out.SubnetSet, p.subnetOf(s, ids))
	}
	return out, err
}

// neverGiven is how many addresses of a subnet no instance gets.
const neverGiven = 3

// subnetOf shows a subnet; vpcs are the IDs of VPCs by name.
func (p *product) subnetOf(s api.Subnet, vpcs map[string]string) Subnet {
	return Subnet{VpcId: vpcs[s.VPC], SubnetId: s.ID, SubnetName: s.Name, CidrBlock: s.CIDR, IsDefault: s.Name == api.DefaultName, Zone: p.place.Zone,
		CreatedTime: cloud.LocalTime(s.CreatedAt), AvailableIpAddressCount: int64(s.Available), Ipv6CidrBlock: s.CIDR6,
		TotalIpAddressCount: 1<<(32-s.Range().Bits()) - neverGiven, TagSet: tags(s.Labels)}
}
