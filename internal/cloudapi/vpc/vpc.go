// Package vpc is what the user of instances needs of the product vpc of the cloud API, of
// version 2017-03-12. Its types bear the product's own names.
package vpc

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"cis/api"
	"cis/internal/cloudapi/cloud"
)

// Engine is what the product needs of the engine.
type Engine interface {
	VPCs(ctx context.Context) ([]api.VPC, error)
	VPC(ctx context.Context, ref string) (api.VPC, error)
	CreateVPC(ctx context.Context, v api.VPC) (api.VPC, error)
	RemoveVPC(ctx context.Context, ref string) error

	Subnets(ctx context.Context) ([]api.Subnet, error)
	Subnet(ctx context.Context, ref string) (api.Subnet, error)
	CreateSubnet(ctx context.Context, s api.Subnet) (api.Subnet, error)
	RemoveSubnet(ctx context.Context, ref string) error

	SecurityGroups(ctx context.Context) ([]api.SecurityGroup, error)
	SecurityGroup(ctx context.Context, ref string) (api.SecurityGroup, error)
	CreateSecurityGroup(ctx context.Context, g api.SecurityGroup) (api.SecurityGroup, error)
	UpdateSecurityGroup(ctx context.Context, ref string, u api.SecurityGroupUpdate) (api.SecurityGroup, error)
	RemoveSecurityGroup(ctx context.Context, ref string) error

	Addresses(ctx context.Context) ([]api.Address, error)
	Address(ctx context.Context, ref string) (api.Address, error)
	CreateAddress(ctx context.Context, a api.Address) (api.Address, error)
	BindAddress(ctx context.Context, ref, instance string) (api.Address, error)
	UnbindAddress(ctx context.Context, ref string) (api.Address, error)
	RemoveAddress(ctx context.Context, ref string) error

	Get(ctx context.Context, ref string) (api.Instance, error)
}

type product struct {
	engine Engine
	place  cloud.Place
	// allocating lets one request with a client token at a time go on.
	allocating sync.Mutex
}

// New makes the product for a place.
func New(e Engine, place cloud.Place) cloud.Product {
	p := &product{engine: e, place: place}
	return cloud.Product{Name: "vpc", Version: "2017-03-12", Actions: slices.Concat(p.vpcActions(), p.subnetActions(), p.groupActions(), p.addressActions())}
}

func (p *product) vpcActions() []cloud.Action {
	return []cloud.Action{
		cloud.Changes("CreateVpc", func(r *CreateVpcRequest) string { return r.VpcName }, p.createVPC),
		cloud.Changes("DeleteVpc", func(r *DeleteVpcRequest) string { return r.VpcId }, p.deleteVPC),
		cloud.Reads("DescribeVpcs", nil, p.describeVPCs),
		cloud.Changes("ModifyVpcAttribute", func(r *ModifyVpcAttributeRequest) string { return r.VpcId }, p.modifyVPC),
	}
}

var vpcNames = cloud.Names{Whole: map[string]string{"name": "VpcName", "cidr": "CidrBlock"}, Parts: []string{"labels", "Tags"}}

// tell is an error with the names of a kind of thing; nil stays nil.
func tell(err error, names cloud.Names) error {
	if err == nil {
		return nil
	}
	return cloud.From(err, names)
}

func (p *product) createVPC(ctx context.Context, r *CreateVpcRequest) (*CreateVpcResponse, error) {
	labels, err := labels(r.Tags)
	if err != nil {
		return nil, err
	}
	v := api.VPC{Name: r.VpcName, CIDR: r.CidrBlock, Labels: labels}
	v.Default()
	if err := v.Validate(); err != nil {
		return nil, tell(err, vpcNames)
	}
	if v, err = p.engine.CreateVPC(ctx, v); err != nil {
		return nil, tell(err, vpcNames)
	}
	shown := vpcOf(v)
	return &CreateVpcResponse{&shown}, nil
}

// findVPC reads a VPC by its ID.
func (p *product) findVPC(ctx context.Context, id string) (api.VPC, error) {
	if err := cloud.CheckID("VpcId", "vpc-", id); err != nil {
		return api.VPC{}, err
	}
	v, err := p.engine.VPC(ctx, id)
	return v, missing(err, "VpcId", id)
}

// missing says of which parameter a thing does not exist.
func missing(err error, path, id string) error {
	if api.CodeOf(err) == api.NotFound {
		return cloud.Errorf(cloud.ResourceNotFound, "%s: there is no %s", path, id)
	}
	return err
}

func (p *product) deleteVPC(ctx context.Context, r *DeleteVpcRequest) (*cloud.Nothing, error) {
	v, err := p.findVPC(ctx, r.VpcId)
	if err != nil {
		return nil, err
	}
	return &cloud.Nothing{}, p.engine.RemoveVPC(ctx, v.ID)
}

func (p *product) modifyVPC(ctx context.Context, r *ModifyVpcAttributeRequest) (*cloud.Nothing, error) {
	v, err := p.findVPC(ctx, r.VpcId)
	if err != nil {
		return nil, err
	}
	return &cloud.Nothing{}, sameName("VpcName", r.VpcName, v.Name)
}

// sameName refuses a change of a name.
func sameName(path, want, have string) error {
	if want != "" && want != have {
		return cloud.Refused(path, "names never change here; it stays %s", have)
	}
	return nil
}

func (p *product) describeVPCs(ctx context.Context, r *DescribeVpcsRequest) (*DescribeVpcsResponse, error) {
	all, err := p.engine.VPCs(ctx)
	if err != nil {
		return nil, err
	}
	known := map[string]cloud.Property[api.VPC]{
		"vpc-name":   func(v api.VPC, s string) bool { return strings.Contains(v.Name, s) },
		"vpc-id":     func(v api.VPC, s string) bool { return v.ID == s },
		"cidr-block": func(v api.VPC, s string) bool { return v.CIDR == s },
		"is-default": func(v api.VPC, s string) bool { return isBool(s, v.Name == api.DefaultName) },
	}
	list, total, err := choose(all, chosen[api.VPC]{idField: "VpcIds", ids: r.VpcIds, id: func(v api.VPC) string { return v.ID },
		filters: r.Filters, known: known, labels: func(v api.VPC) map[string]string { return v.Labels }}, plain(r.Offset), plain(r.Limit))
	out := &DescribeVpcsResponse{TotalCount: total}
	for _, v := range list {
		out.VpcSet = append(out.VpcSet, vpcOf(v))
	}
	return out, err
}

func vpcOf(v api.VPC) Vpc {
	return Vpc{VpcName: v.Name, VpcId: v.ID, CidrBlock: v.CIDR, IsDefault: v.Name == api.DefaultName, CreatedTime: cloud.LocalTime(v.CreatedAt),
		DomainName: v.Name + ".internal", Ipv6CidrBlock: v.CIDR6, TagSet: tags(v.Labels)}
}

// chosen is how a list is narrowed.
type chosen[T any] struct {
	idField string
	ids     []string
	id      func(T) string
	filters []Filter
	known   map[string]cloud.Property[T]
	labels  func(T) map[string]string
}

// maxIDs is how many things may be asked for by ID.
const maxIDs = 100

// choose narrows a list by IDs or filters, and cuts the window out of it.
func choose[T any](all []T, c chosen[T], offset, limit *uint64) ([]T, int, error) {
	window, err := cloud.NewWindow(offset, limit, 20, 100)
	if err != nil {
		return nil, 0, err
	}
	if len(c.ids) > maxIDs {
		return nil, 0, cloud.Bad(c.idField, "must be at most %d IDs, not %d", maxIDs, len(c.ids))
	}
	if len(c.ids) > 0 && len(c.filters) > 0 {
		return nil, 0, cloud.Bad("Filters", "excludes %s", c.idField)
	}
	var filters []cloud.Filter
	for _, f := range c.filters {
		filters = append(filters, cloud.Filter(f))
	}
	c.knowTags()
	pass, err := cloud.Match(filters, "Values", c.known)
	if err != nil {
		return nil, 0, err
	}
	kept := cloud.Keep(all, func(thing T) bool {
		return (len(c.ids) == 0 || slices.Contains(c.ids, c.id(thing))) && pass(thing)
	})
	return cloud.Cut(kept, window), len(kept), nil
}

// knowTags adds the filters that every kind of thing has: tag-key, and tag:KEY.
func (c *chosen[T]) knowTags() {
	c.known["tag-key"] = func(thing T, key string) bool { _, ok := c.labels(thing)[key]; return ok }
	for _, f := range c.filters {
		if key, ok := strings.CutPrefix(f.Name, "tag:"); ok {
			c.known[f.Name] = func(thing T, v string) bool { have, ok := c.labels(thing)[key]; return ok && have == v }
		}
	}
}

func isBool(s string, b bool) bool {
	return strings.EqualFold(s, strconv.FormatBool(b))
}

func plain(n *cloud.Number) *uint64 { return (*uint64)(n) }

// labels are those that tags ask for.
func labels(tags []Tag) (map[string]string, error) {
	if len(tags) == 0 {
		return nil, nil
	}
	out := map[string]string{}
	for i, t := range tags {
		if _, twice := out[t.Key]; twice {
			return nil, cloud.Bad(fmt.Sprintf("Tags.%d.Key", i), "is given twice")
		}
		out[t.Key] = t.Value
	}
	return out, nil
}

// tags shows labels, but for those that this API makes for itself.
func tags(labels map[string]string) (out []Tag) {
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if !strings.Contains(key, ".cis/") {
			out = append(out, Tag{key, labels[key]})
		}
	}
	return out
}
