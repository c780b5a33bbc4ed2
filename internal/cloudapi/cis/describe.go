package cis

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"cis/api"
	"cis/internal/cloudapi/cloud"
)

func (p *product) describe(ctx context.Context, r *DescribeContainerInstanceRequest) (*DescribeContainerInstanceResponse, error) {
	in, err := p.find(ctx, r.InstanceName)
	if err != nil {
		return nil, err
	}
	networks, err := cloud.ReadNetworks(ctx, p.engine)
	if err != nil {
		return nil, err
	}
	shown := p.instance(in, networks)
	return &DescribeContainerInstanceResponse{ContainerInstance: &shown}, nil
}

const (
	usualLimit = 10
	maxLimit   = 100
)

func (p *product) list(ctx context.Context, r *DescribeContainerInstancesRequest) (*DescribeContainerInstancesResponse, error) {
	window, err := cloud.NewWindow(r.Offset, r.Limit, usualLimit, maxLimit)
	if err != nil {
		return nil, err
	}
	networks, err := cloud.ReadNetworks(ctx, p.engine)
	if err != nil {
		return nil, err
	}
	var filters []cloud.Filter
	for _, f := range r.Filters {
		filters = append(filters, cloud.Filter{Name: f.Name, Values: f.ValueList})
	}
	instances, total, err := cloud.Search(ctx, p.engine, window, filters, "ValueList", map[string]cloud.Property[api.InstanceKeys]{
		"Zone":         func(_ api.InstanceKeys, v string) bool { return v == p.place.Zone },
		"VpcId":        func(k api.InstanceKeys, v string) bool { return v == networks.VPCs[k.VPC].ID },
		"InstanceName": func(k api.InstanceKeys, v string) bool { return strings.Contains(k.Name, v) },
	}, nil)
	if err != nil {
		return nil, err
	}
	out := &DescribeContainerInstancesResponse{TotalCount: total}
	for _, in := range instances {
		out.ContainerInstanceList = append(out.ContainerInstanceList, p.instance(in, networks))
	}
	return out, nil
}

func (p *product) instance(in api.Instance, n cloud.Networks) ContainerInstance {
	vpc, subnet := n.VPCs[in.Spec.Network.VPC], n.Subnets[in.Spec.Network.Subnet]
	out := ContainerInstance{
		InstanceId: cloud.OutsideID(prefix, in.ID), InstanceName: in.Spec.Name, Zone: p.place.Zone,
		VpcId: vpc.ID, VpcName: vpc.Name, VpcCidr: vpc.CIDR, SubnetId: subnet.ID, SubnetName: subnet.Name, SubnetCidr: subnet.CIDR,
		LanIp: in.Status.Address, State: string(in.Status.Phase), RestartPolicy: string(in.Spec.RestartPolicy), CreateTime: cloud.LocalTime(in.CreatedAt),
	}
	if in.Status.StartedAt != nil {
		out.StartTime = new(cloud.LocalTime(*in.Status.StartedAt))
	}
	for _, c := range in.Spec.Containers {
		out.Containers = append(out.Containers, container(in, c, cloud.Status(in.Status.ContainerStatuses, c.Name)))
	}
	return out
}

func container(in api.Instance, c api.Container, s api.ContainerStatus) Container {
	id := sha256.Sum256([]byte(in.ID + "/" + c.Name))
	out := Container{
		Name: c.Name, Image: c.Image, Cpu: c.Resources.Limits.CPU.Cores(), Memory: cloud.GiB(c.Resources.Limits.Memory), Args: c.Args,
		RestartCount: new(uint64(s.RestartCount)), CurrentState: state(s.State), PreviousState: state(s.LastState), ContainerId: new(hex.EncodeToString(id[:])),
	}
	if len(c.Command) > 0 {
		out.Command = new(strings.Join(c.Command, " "))
	}
	if c.WorkingDir != "" {
		out.WorkingDir = new(c.WorkingDir)
	}
	for _, v := range c.Env {
		out.EnvironmentVars = append(out.EnvironmentVars, EnvironmentVar{v.Name, v.Value})
	}
	return out
}

// state is nil for one that never was.
func state(s api.ContainerState) *ContainerState {
	switch {
	case s.Running != nil:
		return &ContainerState{State: "Running", StartTime: cloud.LocalTime(s.Running.StartedAt)}
	case s.Terminated != nil:
		t := s.Terminated
		return &ContainerState{State: "Terminated", Reason: t.Reason, StartTime: cloud.LocalTime(t.StartedAt), FinishTime: cloud.LocalTime(t.FinishedAt), ExitCode: new(int64(t.ExitCode))}
	case s.Waiting != nil:
		return &ContainerState{State: "Waiting", Reason: s.Waiting.Reason}
	}
	return nil
}

func event(e api.Event) Event {
	return Event{FirstSeen: cloud.EventTime(e.FirstSeen), LastSeen: cloud.EventTime(e.LastSeen), Level: string(e.Type),
		Count: strconv.Itoa(e.Count), Reason: e.Reason, Message: e.Message}
}

// priceOf is a price by the hour, with and without the discount; a whole discount leaves
// nothing to tell the price by.
func priceOf(p api.Price) (*Price, error) {
	hour, ok := new(big.Rat).SetString(string(p.PerHour))
	if !ok {
		return nil, fmt.Errorf("the price %q is no number", p.PerHour)
	}
	out := &Price{}
	out.DiscountPrice, _ = hour.Float64()
	out.OriginalPrice = out.DiscountPrice
	percent, ok := new(big.Rat).SetString(string(p.DiscountPercent))
	if rest := new(big.Rat).Sub(big.NewRat(100, 1), new(big.Rat).Set(orZero(percent, ok))); rest.Sign() > 0 {
		full := new(big.Rat).Quo(new(big.Rat).Mul(hour, big.NewRat(100, 1)), rest)
		out.OriginalPrice, _ = full.Float64()
	}
	return out, nil
}

func orZero(r *big.Rat, ok bool) *big.Rat {
	if !ok {
		return new(big.Rat)
	}
	return r
}
