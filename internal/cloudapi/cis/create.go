package cis

import (
	"context"
	"fmt"
	"regexp"

	"cis/api"
	"cis/internal/cloudapi/cloud"
)

const (
	maxName          = 40
	maxContainerName = 63
)

// namePattern is what names are made of in this product.
var namePattern = regexp.MustCompile(`^[a-z]([a-z0-9-]*[a-z0-9])?$`)

func checkName(path, name string, most int) error {
	if len(name) > most || !namePattern.MatchString(name) {
		return cloud.Bad(path, "must be at most %d lower-case letters, digits and '-', with a letter at the beginning and no '-' at the end", most)
	}
	return nil
}

func (p *product) create(ctx context.Context, r *CreateContainerInstanceRequest) (*CreateContainerInstanceResponse, error) {
	req, err := p.spec(r)
	if err != nil {
		return nil, err
	}
	req.Default(p.defaults)
	if err := req.Validate(p.defaults); err != nil {
		return nil, err
	}
	in, _, err := p.engine.Create(ctx, req)
	if err != nil {
		return nil, err
	}
	return &CreateContainerInstanceResponse{InstanceId: cloud.OutsideID(prefix, in.ID)}, nil
}

// spec is the instance that a request asks for.
func (p *product) spec(r *CreateContainerInstanceRequest) (req api.CreateInstance, err error) {
	if err := p.place.CheckZone("Zone", r.Zone); err != nil {
		return req, err
	}
	if err := checkName("InstanceName", r.InstanceName, maxName); err != nil {
		return req, err
	}
	if err := cloud.CheckID("VpcId", "vpc-", r.VpcId); err != nil {
		return req, err
	}
	if err := cloud.CheckID("SubnetId", "subnet-", r.SubnetId); err != nil {
		return req, err
	}
	if r.RestartPolicy == "" {
		return req, cloud.Bad("RestartPolicy", "must be Always, OnFailure or Never")
	}
	req.Name, req.RestartPolicy = r.InstanceName, api.RestartPolicy(r.RestartPolicy)
	req.Network = api.NetworkSpec{VPC: r.VpcId, Subnet: r.SubnetId}
	for i, c := range r.Containers {
		one, err := c.spec(fmt.Sprintf("Containers.%d", i))
		if err != nil {
			return req, err
		}
		req.Containers = append(req.Containers, one)
	}
	return req, nil
}

func (c *Container) spec(path string) (out api.Container, err error) {
	if err := checkName(path+".Name", c.Name, maxContainerName); err != nil {
		return out, err
	}
	out = api.Container{Name: c.Name, Image: c.Image, Args: c.Args}
	if out.Resources.Limits.CPU, err = cloud.CPU(path+".Cpu", c.Cpu); err != nil {
		return out, err
	}
	if out.Resources.Limits.Memory, err = cloud.Memory(path+".Memory", c.Memory); err != nil {
		return out, err
	}
	if c.Command != nil && *c.Command != "" {
		out.Command = []string{*c.Command}
	}
	if c.WorkingDir != nil {
		out.WorkingDir = *c.WorkingDir
	}
	for _, v := range c.EnvironmentVars {
		out.Env = append(out.Env, api.EnvVar{Name: v.Name, Value: v.Value})
	}
	return out, nil
}
