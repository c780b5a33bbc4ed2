package client

import (
	"context"
	"net/url"

	"cis/api"
)

// all lists the things below a path.
func all[T any](ctx context.Context, c *Client, path string) ([]T, error) {
	list, err := fetch[api.List[T]](ctx, c, call{method: "GET", path: path})
	return list.Items, err
}

// one gets the thing of that name or ID.
func one[T any](ctx context.Context, c *Client, path, ref string) (T, error) {
	return fetch[T](ctx, c, call{method: "GET", path: path + "/" + url.PathEscape(ref)})
}

// remove removes it.
func remove(ctx context.Context, c *Client, path, ref string) error {
	_, err := c.do(ctx, call{method: "DELETE", path: path + "/" + url.PathEscape(ref)}, nil)
	return err
}

const (
	vpcsPath      = "/v1/vpcs"
	subnetsPath   = "/v1/subnets"
	groupsPath    = "/v1/securitygroups"
	addressesPath = "/v1/addresses"
)

// VPCs lists the VPCs.
func (c *Client) VPCs(ctx context.Context) ([]api.VPC, error) { return all[api.VPC](ctx, c, vpcsPath) }

// VPC gets a VPC by name or ID.
func (c *Client) VPC(ctx context.Context, ref string) (api.VPC, error) {
	return one[api.VPC](ctx, c, vpcsPath, ref)
}

// CreateVPC makes a VPC.
func (c *Client) CreateVPC(ctx context.Context, v api.VPC) (api.VPC, error) {
	return fetch[api.VPC](ctx, c, call{method: "POST", path: vpcsPath, body: v})
}

// UpdateVPC changes a VPC, live.
func (c *Client) UpdateVPC(ctx context.Context, ref string, u api.VPCUpdate) (api.VPC, error) {
	return fetch[api.VPC](ctx, c, call{method: "PATCH", path: vpcsPath + "/" + url.PathEscape(ref), body: u})
}

// RemoveVPC removes a VPC that has no subnets.
func (c *Client) RemoveVPC(ctx context.Context, ref string) error {
	return remove(ctx, c, vpcsPath, ref)
}

// Flows tells what traffic a VPC has seen.
func (c *Client) Flows(ctx context.Context, ref string) ([]api.Flow, error) {
	return all[api.Flow](ctx, c, vpcsPath+"/"+url.PathEscape(ref)+"/flows")
}

// CheckNetwork tells whether an instance may connect somewhere, by which rule, and tries it.
func (c *Client) CheckNetwork(ctx context.Context, check api.NetworkCheck) (api.NetworkVerdict, error) {
	return fetch[api.NetworkVerdict](ctx, c, call{method: "POST", path: "/v1/network/check", body: check})
}

// Subnets lists the subnets.
func (c *Client) Subnets(ctx context.Context) ([]api.Subnet, error) {
	return all[api.Subnet](ctx, c, subnetsPath)
}

// Subnet gets a subnet by name or ID.
func (c *Client) Subnet(ctx context.Context, ref string) (api.Subnet, error) {
	return one[api.Subnet](ctx, c, subnetsPath, ref)
}

// CreateSubnet makes a subnet.
func (c *Client) CreateSubnet(ctx context.Context, s api.Subnet) (api.Subnet, error) {
	return fetch[api.Subnet](ctx, c, call{method: "POST", path: subnetsPath, body: s})
}

// RemoveSubnet removes a subnet that nobody uses.
func (c *Client) RemoveSubnet(ctx context.Context, ref string) error {
	return remove(ctx, c, subnetsPath, ref)
}

// SecurityGroups lists the security groups.
func (c *Client) SecurityGroups(ctx context.Context) ([]api.SecurityGroup, error) {
	return all[api.SecurityGroup](ctx, c, groupsPath)
}

// SecurityGroup gets a security group by name or ID.
func (c *Client) SecurityGroup(ctx context.Context, ref string) (api.SecurityGroup, error) {
	return one[api.SecurityGroup](ctx, c, groupsPath, ref)
}

// CreateSecurityGroup makes a security group.
func (c *Client) CreateSecurityGroup(ctx context.Context, g api.SecurityGroup) (api.SecurityGroup, error) {
	return fetch[api.SecurityGroup](ctx, c, call{method: "POST", path: groupsPath, body: g})
}

// UpdateSecurityGroup changes a security group, live.
func (c *Client) UpdateSecurityGroup(ctx context.Context, ref string, u api.SecurityGroupUpdate) (api.SecurityGroup, error) {
	return fetch[api.SecurityGroup](ctx, c, call{method: "PATCH", path: groupsPath + "/" + url.PathEscape(ref), body: u})
}

// RemoveSecurityGroup removes a security group that nobody uses.
func (c *Client) RemoveSecurityGroup(ctx context.Context, ref string) error {
	return remove(ctx, c, groupsPath, ref)
}

// Addresses lists the public addresses.
func (c *Client) Addresses(ctx context.Context) ([]api.Address, error) {
	return all[api.Address](ctx, c, addressesPath)
}

// Address gets a public address by name or ID.
func (c *Client) Address(ctx context.Context, ref string) (api.Address, error) {
	return one[api.Address](ctx, c, addressesPath, ref)
}

// CreateAddress takes a public address out of the pool.
func (c *Client) CreateAddress(ctx context.Context, a api.Address) (api.Address, error) {
	return fetch[api.Address](ctx, c, call{method: "POST", path: addressesPath, body: a})
}

// BindAddress binds a public address to an instance, from wherever it was.
func (c *Client) BindAddress(ctx context.Context, ref, instance string) (api.Address, error) {
	return fetch[api.Address](ctx, c, call{method: "POST", path: addressesPath + "/" + url.PathEscape(ref) + "/bind",
		body: api.AddressBinding{Instance: instance}})
}

// RouteAddress binds a public address to a VPC, from wherever it was: it leads to the VPC's
// router.
func (c *Client) RouteAddress(ctx context.Context, ref, vpc string) (api.Address, error) {
	return fetch[api.Address](ctx, c, call{method: "POST", path: addressesPath + "/" + url.PathEscape(ref) + "/bind",
		body: api.AddressBinding{VPC: vpc}})
}

// UnbindAddress takes a public address from its instance or VPC.
func (c *Client) UnbindAddress(ctx context.Context, ref string) (api.Address, error) {
	return fetch[api.Address](ctx, c, call{method: "POST", path: addressesPath + "/" + url.PathEscape(ref) + "/unbind"})
}

// RemoveAddress gives a public address back to the pool.
func (c *Client) RemoveAddress(ctx context.Context, ref string) error {
	return remove(ctx, c, addressesPath, ref)
}
