// Package cis is the product cis of the cloud API, of version 2018-04-08: container
// instances that go by their names. Its types bear the product's own names.
package cis

import (
	"context"
	"time"

	"cis/api"
	"cis/internal/cloudapi/cloud"
)

// Engine is what the product needs of the engine.
type Engine interface {
	cloud.Searcher
	cloud.Logger
	cloud.Networker
	Create(ctx context.Context, req api.CreateInstance) (api.Instance, bool, error)
	Get(ctx context.Context, ref string) (api.Instance, error)
	Remove(ctx context.Context, ref string, force bool, grace *time.Duration) error
	Events(ctx context.Context, opts api.EventOptions) (api.List[api.Event], error)
	Price(ctx context.Context, opts api.PriceOptions) (api.Price, error)
}

// prefix begins the IDs of instances in this product.
const prefix = "cis-"

type product struct {
	engine   Engine
	place    cloud.Place
	defaults api.Defaults
}

// New makes the product for a place; the defaults are those of instances.
func New(e Engine, place cloud.Place, defaults api.Defaults) cloud.Product {
	p := &product{e, place, defaults}
	return cloud.Product{Name: "cis", Version: "2018-04-08", Names: names, Invalid: cloud.InvalidParameter, Actions: []cloud.Action{
		cloud.Changes("CreateContainerInstance", func(r *CreateContainerInstanceRequest) string { return r.InstanceName }, p.create),
		cloud.Changes("DeleteContainerInstance", func(r *DeleteContainerInstanceRequest) string { return r.InstanceName }, p.remove),
		cloud.Reads("DescribeContainerInstance", func(r *DescribeContainerInstanceRequest) string { return r.InstanceName }, p.describe),
		cloud.Reads("DescribeContainerInstances", nil, p.list),
		cloud.Reads("DescribeContainerInstanceEvents", func(r *DescribeContainerInstanceEventsRequest) string { return r.InstanceName }, p.events),
		cloud.Reads("DescribeContainerLog", func(r *DescribeContainerLogRequest) string { return r.InstanceName }, p.logs),
		cloud.Reads("InquiryPriceCreateCis", nil, p.price),
	}}
}

// names are those of this product for the fields of an instance.
var names = cloud.Names{
	Whole: map[string]string{"name": "InstanceName", "hostname": "InstanceName", "restartPolicy": "RestartPolicy", "containers": "Containers",
		"cpu": "Containers.Cpu", "memory": "Containers.Memory", "size": "Containers.Cpu", "network.vpc": "VpcId", "network.subnet": "SubnetId"},
	Parts: []string{"containers[", "Containers.", ".resources.limits.cpu", ".Cpu", ".resources.limits.memory", ".Memory", ".name", ".Name",
		".image", ".Image", ".command[0]", ".Command", ".command", ".Command", ".args", ".Args", ".env[", ".EnvironmentVars.",
		".value", ".Value", ".workingDir", ".WorkingDir"},
}

// find reads an instance by its whole name.
func (p *product) find(ctx context.Context, name string) (api.Instance, error) {
	in, err := p.engine.Get(ctx, name)
	switch code := api.CodeOf(err); {
	case code == api.NotFound, code == api.Invalid, err == nil && in.Spec.Name != name:
		return in, cloud.Errorf(cloud.ResourceNotFound, "InstanceName: there is no container instance %q", name)
	}
	return in, err
}

func (p *product) remove(ctx context.Context, r *DeleteContainerInstanceRequest) (*DeleteContainerInstanceResponse, error) {
	in, err := p.find(ctx, r.InstanceName)
	if err != nil {
		return nil, err
	}
	grace := cloud.Grace(in.Spec)
	if err := p.engine.Remove(ctx, in.ID, true, &grace); err != nil {
		return nil, err
	}
	return &DeleteContainerInstanceResponse{Msg: in.Spec.Name + " has beed deleted"}, nil
}

func (p *product) events(ctx context.Context, r *DescribeContainerInstanceEventsRequest) (*DescribeContainerInstanceEventsResponse, error) {
	in, err := p.find(ctx, r.InstanceName)
	if err != nil {
		return nil, err
	}
	events, err := cloud.Events(ctx, p.engine, in.ID, cloud.MaxEvents)
	if err != nil {
		return nil, err
	}
	out := &DescribeContainerInstanceEventsResponse{}
	for _, e := range events {
		out.EventList = append(out.EventList, event(e))
	}
	return out, nil
}

func (p *product) logs(ctx context.Context, r *DescribeContainerLogRequest) (*DescribeContainerLogResponse, error) {
	in, err := p.find(ctx, r.InstanceName)
	if err != nil {
		return nil, err
	}
	opts := api.LogOptions{Tail: -1}
	if r.Tail != nil {
		if *r.Tail < 1 || *r.Tail > maxTail {
			return nil, cloud.Bad("Tail", "must be 1 to %d, not %d", maxTail, *r.Tail)
		}
		opts.Tail = int(*r.Tail)
	}
	if opts.Since, err = cloud.ParseTime("SinceTime", r.SinceTime); err != nil {
		return nil, err
	}
	containers, err := cloud.Containers("ContainerName", in, r.ContainerName)
	if err != nil {
		return nil, err
	}
	out := &DescribeContainerLogResponse{}
	for _, name := range containers {
		opts.Container = name
		lines, err := cloud.Lines(ctx, p.engine, in.ID, opts, cloud.MaxLog/len(containers))
		if err != nil {
			return nil, err
		}
		for _, line := range lines {
			out.ContainerLogList = append(out.ContainerLogList, ContainerLog{Name: name, Time: cloud.LocalTime(line.Time), Log: line.Text})
		}
	}
	return out, nil
}

// maxTail bounds the lines of output that are asked for.
const maxTail = 100000

func (p *product) price(ctx context.Context, r *InquiryPriceCreateCisRequest) (*InquiryPriceCreateCisResponse, error) {
	if err := p.place.CheckZone("Zone", r.Zone); err != nil {
		return nil, err
	}
	cpu, err := cloud.CPU("Cpu", r.Cpu)
	if err != nil {
		return nil, err
	}
	memory, err := cloud.Memory("Memory", r.Memory)
	if err != nil {
		return nil, err
	}
	// The size of an instance with these, and all that is wrong with it.
	req := api.CreateInstance{InstanceSpec: api.InstanceSpec{CPU: cpu, Memory: memory, Containers: []api.Container{{Image: "any"}}}}
	req.Default(p.defaults)
	if err := req.Validate(p.defaults); err != nil {
		return nil, cloud.From(err, cloud.Names{Whole: map[string]string{"cpu": "Cpu", "memory": "Memory", "size": "Cpu"}})
	}
	price, err := p.engine.Price(ctx, api.PriceOptions{CPU: req.CPU, Memory: req.Memory, EphemeralStorage: req.EphemeralStorage, Isolation: req.Isolation})
	if err != nil {
		return nil, err
	}
	out, err := priceOf(price)
	return &InquiryPriceCreateCisResponse{Price: out}, err
}
