package vpc

import (
	"context"
	"slices"
	"strings"

	"cis/api"
	"cis/internal/cloudapi/cloud"
)

func (p *product) groupActions() []cloud.Action {
	return []cloud.Action{
		cloud.Changes("CreateSecurityGroup", func(r *CreateSecurityGroupRequest) string { return r.GroupName }, p.createGroup),
		cloud.Changes("DeleteSecurityGroup", func(r *DeleteSecurityGroupRequest) string { return r.SecurityGroupId }, p.deleteGroup),
		cloud.Reads("DescribeSecurityGroups", nil, p.describeGroups),
		cloud.Changes("ModifySecurityGroupAttribute", func(r *ModifySecurityGroupAttributeRequest) string { return r.SecurityGroupId }, p.modifyGroup),
		cloud.Changes("CreateSecurityGroupPolicies", func(r *CreateSecurityGroupPoliciesRequest) string { return r.SecurityGroupId }, p.createPolicies),
		cloud.Changes("DeleteSecurityGroupPolicies", func(r *DeleteSecurityGroupPoliciesRequest) string { return r.SecurityGroupId }, p.deletePolicies),
		cloud.Reads("DescribeSecurityGroupPolicies", func(r *DescribeSecurityGroupPoliciesRequest) string { return r.SecurityGroupId }, p.describePolicies),
		cloud.Changes("ModifySecurityGroupPolicies", func(r *ModifySecurityGroupPoliciesRequest) string { return r.SecurityGroupId }, p.modifyPolicies),
	}
}

var groupNames = cloud.Names{
	Whole: map[string]string{"name": "GroupName", "description": "GroupDescription"},
	Parts: []string{"labels", "Tags", "ingress", "SecurityGroupPolicySet.Ingress", "egress", "SecurityGroupPolicySet.Egress",
		".securityGroup", ".SecurityGroupId", ".cidr", ".CidrBlock", ".ports", ".Port", ".protocol", ".Protocol", ".description", ".PolicyDescription"},
}

func (p *product) createGroup(ctx context.Context, r *CreateSecurityGroupRequest) (*CreateSecurityGroupResponse, error) {
	labels, err := labels(r.Tags)
	if err != nil {
		return nil, err
	}
	g := api.SecurityGroup{Name: r.GroupName, Description: r.GroupDescription, Labels: labels, Ingress: []api.Rule{}, Egress: []api.Rule{}}
	g.Default()
	if err := g.Validate(); err != nil {
		return nil, tell(err, groupNames)
	}
	if g, err = p.engine.CreateSecurityGroup(ctx, g); err != nil {
		return nil, tell(err, groupNames)
	}
	shown := groupOf(g)
	return &CreateSecurityGroupResponse{&shown}, nil
}

// findGroup reads a security group by its ID.
func (p *product) findGroup(ctx context.Context, id string) (api.SecurityGroup, error) {
	if err := cloud.CheckID("SecurityGroupId", "sg-", id); err != nil {
		return api.SecurityGroup{}, err
	}
	g, err := p.engine.SecurityGroup(ctx, id)
	return g, missing(err, "SecurityGroupId", id)
}

func (p *product) deleteGroup(ctx context.Context, r *DeleteSecurityGroupRequest) (*cloud.Nothing, error) {
	g, err := p.findGroup(ctx, r.SecurityGroupId)
	if err != nil {
		return nil, err
	}
	return &cloud.Nothing{}, p.engine.RemoveSecurityGroup(ctx, g.ID)
}

func (p *product) modifyGroup(ctx context.Context, r *ModifySecurityGroupAttributeRequest) (*cloud.Nothing, error) {
	g, err := p.findGroup(ctx, r.SecurityGroupId)
	if err != nil {
		return nil, err
	}
	if err := sameName("GroupName", r.GroupName, g.Name); err != nil {
		return nil, err
	}
	return &cloud.Nothing{}, p.changeGroup(ctx, g.ID, api.SecurityGroupUpdate{Description: r.GroupDescription})
}

// changeGroup checks a change, and makes it.
func (p *product) changeGroup(ctx context.Context, id string, u api.SecurityGroupUpdate) error {
	u.Default()
	if err := u.Validate(); err != nil {
		return tell(err, groupNames)
	}
	_, err := p.engine.UpdateSecurityGroup(ctx, id, u)
	return tell(err, groupNames)
}

func (p *product) describeGroups(ctx context.Context, r *DescribeSecurityGroupsRequest) (*DescribeSecurityGroupsResponse, error) {
	all, err := p.engine.SecurityGroups(ctx)
	if err != nil {
		return nil, err
	}
	if r.OrderField != "" {
		slices.SortStableFunc(all, func(a, b api.SecurityGroup) int { return a.CreatedAt.Compare(b.CreatedAt) })
	}
	switch strings.ToUpper(r.OrderDirection) {
	case "", "ASC":
	case "DESC":
		slices.Reverse(all)
	default:
		return nil, cloud.Bad("OrderDirection", "must be ASC or DESC")
	}
	known := map[string]cloud.Property[api.SecurityGroup]{
		"security-group-id":   func(g api.SecurityGroup, v string) bool { return g.ID == v },
		"security-group-name": func(g api.SecurityGroup, v string) bool { return g.Name == v },
		"project-id":          func(_ api.SecurityGroup, v string) bool { return v == noProject },
	}
	list, total, err := choose(all, chosen[api.SecurityGroup]{idField: "SecurityGroupIds", ids: r.SecurityGroupIds,
		id: func(g api.SecurityGroup) string { return g.ID }, filters: r.Filters, known: known,
		labels: func(g api.SecurityGroup) map[string]string { return g.Labels }}, plain(r.Offset), plain(r.Limit))
	out := &DescribeSecurityGroupsResponse{TotalCount: total}
	for _, g := range list {
		out.SecurityGroupSet = append(out.SecurityGroupSet, groupOf(g))
	}
	return out, err
}

// noProject is the project of everything.
const noProject = "0"

func groupOf(g api.SecurityGroup) SecurityGroup {
	return SecurityGroup{SecurityGroupId: g.ID, SecurityGroupName: g.Name, SecurityGroupDesc: g.Description, ProjectId: noProject,
		IsDefault: g.Name == api.DefaultName, CreatedTime: cloud.LocalTime(g.CreatedAt), TagSet: tags(g.Labels)}
}
