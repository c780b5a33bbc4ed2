package eksci

import (
	"context"
	"fmt"
	"slices"

	"cis/api"
	"cis/internal/cloudapi/cloud"
)

const (
	usualLimit = 20
	maxLimit   = 100
)

func (p *product) list(ctx context.Context, r *DescribeEKSContainerInstancesRequest) (*DescribeEKSContainerInstancesResponse, error) {
	window, err := cloud.NewWindow(r.Offset, r.Limit, usualLimit, maxLimit)
	if err != nil {
		return nil, err
	}
	networks, err := cloud.ReadNetworks(ctx, p.engine)
	if err != nil {
		return nil, err
	}
	among, err := r.among()
	if err != nil {
		return nil, err
	}
	var filters []cloud.Filter
	for _, f := range r.Filters {
		filters = append(filters, cloud.Filter(f))
	}
	instances, total, err := cloud.Search(ctx, p.engine, window, filters, "Values", map[string]cloud.Property[api.InstanceKeys]{
		"eks-ci-name": func(k api.InstanceKeys, v string) bool { return v == nameOf(k.Name, k.Labels) || v == k.Name },
		"status":      func(k api.InstanceKeys, v string) bool { return v == string(k.Phase) },
		"private-ip":  func(k api.InstanceKeys, v string) bool { return v == k.Address },
		"eip-address": func(k api.InstanceKeys, v string) bool { return v == k.PublicAddress && v != "" },
		"vpc-id":      func(k api.InstanceKeys, v string) bool { return v == networks.VPCs[k.VPC].ID },
	}, among)
	if err != nil {
		return nil, err
	}
	made, err := p.madeFor(ctx)
	if err != nil {
		return nil, err
	}
	disks, err := p.engine.Disks(ctx)
	if err != nil {
		return nil, err
	}
	out := &DescribeEKSContainerInstancesResponse{TotalCount: total}
	for _, in := range instances {
		one := instance(in, networks, made[in.ID].ID)
		one.EksCiVolume = volumes(in.Spec.Volumes, disks)
		out.EksCis = append(out.EksCis, one)
	}
	return out, nil
}

// among are the instances that a request names, if it does.
func (r *DescribeEKSContainerInstancesRequest) among() (func(api.InstanceKeys) bool, error) {
	if len(r.EksCiIds) == 0 {
		return nil, nil
	}
	if len(r.EksCiIds) > maxLimit {
		return nil, cloud.Bad("EksCiIds", "must be at most %d IDs, not %d", maxLimit, len(r.EksCiIds))
	}
	ids := map[string]bool{}
	for i, outside := range r.EksCiIds {
		id, err := insideID(fmt.Sprintf("EksCiIds.%d", i), outside)
		if err != nil {
			return nil, err
		}
		ids[id] = true
	}
	return func(k api.InstanceKeys) bool { return ids[k.ID] }, nil
}

// nameOf is the name that an instance was asked for by.
func nameOf(name string, labels map[string]string) string {
	if asked := labels[nameLabel]; asked != "" {
		return asked
	}
	return name
}

func instance(in api.Instance, n cloud.Networks, madeAddress string) EksCi {
	s := in.Spec
	out := EksCi{
		EksCiId: cloud.OutsideID(prefix, in.ID), EksCiName: nameOf(s.Name, s.Labels), Cpu: s.CPU.Cores(), Memory: cloud.GiB(s.Memory),
		RestartPolicy: string(s.RestartPolicy), Status: string(in.Status.Phase), CreationTime: cloud.UTCTime(in.CreatedAt),
		PrivateIp: in.Status.Address, EipAddress: in.Status.PublicAddress, AutoCreatedEipId: madeAddress,
		VpcId: n.VPCs[s.Network.VPC].ID, SubnetId: n.Subnets[s.Network.Subnet].ID, PersistStatus: true,
		Containers:     shown(s.Containers, in.Status.ContainerStatuses),
		InitContainers: shown(s.InitContainers, in.Status.InitContainerStatuses),
	}
	for _, name := range s.Network.SecurityGroups {
		out.SecurityGroupIds = append(out.SecurityGroupIds, n.Groups[name].ID)
	}
	if in.Status.Phase == api.PhaseSucceeded && in.Status.FinishedAt != nil {
		out.SucceededTime = cloud.UTCTime(*in.Status.FinishedAt)
	}
	return out
}

// volumes are the disks and the directories of servers; nil without any. A disk that was
// removed shows what it was asked for by.
func volumes(all []api.Volume, disks []api.Disk) (out *EksCiVolume) {
	for _, v := range all {
		if v.Disk == nil && v.NFS == nil {
			continue
		}
		if out == nil {
			out = &EksCiVolume{}
		}
		if n := v.NFS; n != nil {
			out.NfsVolumes = append(out.NfsVolumes, NfsVolume{Name: v.Name, Server: n.Server, Path: n.Path, ReadOnly: n.ReadOnly})
			continue
		}
		id := v.Disk.Name
		if i := slices.IndexFunc(disks, func(d api.Disk) bool { return d.Name == id }); i >= 0 {
			id = disks[i].ID
		}
		out.CbsVolumes = append(out.CbsVolumes, CbsVolume{Name: v.Name, CbsDiskId: id})
	}
	return out
}

func shown(containers []api.Container, statuses []api.ContainerStatus) (out []Container) {
	for _, c := range containers {
		out = append(out, container(c, cloud.Status(statuses, c.Name)))
	}
	return out
}

func container(c api.Container, s api.ContainerStatus) Container {
	out := Container{Name: c.Name, Image: c.Image, Commands: c.Command, Args: c.Args, WorkingDir: c.WorkingDir,
		Cpu: c.Resources.Limits.CPU.Cores(), Memory: cloud.GiB(c.Resources.Limits.Memory),
		CurrentState: state(s), RestartCount: new(int64(s.RestartCount)), LivenessProbe: probe(c.LivenessProbe), ReadinessProbe: probe(c.ReadinessProbe)}
	for _, v := range c.Env {
		out.EnvironmentVars = append(out.EnvironmentVars, EnvironmentVariable{v.Name, v.Value})
	}
	for _, m := range c.VolumeMounts {
		out.VolumeMounts = append(out.VolumeMounts, VolumeMount{Name: m.Name, MountPath: m.MountPath, ReadOnly: m.ReadOnly})
	}
	if sc := c.SecurityContext; sc != nil && sc.Capabilities != nil {
		out.SecurityContext = &SecurityContext{Capabilities: &Capabilities{Add: sc.Capabilities.Add, Drop: sc.Capabilities.Drop}}
	}
	return out
}

func state(s api.ContainerStatus) *ContainerState {
	out := &ContainerState{State: "created", RestartCount: int64(s.RestartCount)}
	switch {
	case s.State.Running != nil:
		out.State, out.StartTime = "running", cloud.UTCTime(s.State.Running.StartedAt)
	case s.State.Terminated != nil:
		t := s.State.Terminated
		out.State, out.Reason, out.Message, out.ExitCode = "exited", t.Reason, t.Message, new(int64(t.ExitCode))
		out.StartTime, out.FinishTime = cloud.UTCTime(t.StartedAt), cloud.UTCTime(t.FinishedAt)
	case s.State.Waiting != nil:
		out.Reason, out.Message = s.State.Waiting.Reason, s.State.Waiting.Message
	}
	return out
}

func probe(p *api.Probe) *LivenessOrReadinessProbe {
	if p == nil {
		return nil
	}
	out := &LivenessOrReadinessProbe{Probe: &Probe{InitialDelaySeconds: int64(p.InitialDelaySeconds), TimeoutSeconds: int64(p.TimeoutSeconds),
		PeriodSeconds: int64(p.PeriodSeconds), SuccessThreshold: int64(p.SuccessThreshold), FailureThreshold: int64(p.FailureThreshold)}}
	if h := p.HTTPGet; h != nil {
		out.HttpGet = &HttpGet{Path: h.Path, Port: int64(h.Port), Scheme: h.Scheme}
	}
	if p.Exec != nil {
		out.Exec = &Exec{Commands: p.Exec.Command}
	}
	if p.TCPSocket != nil {
		out.TcpSocket = &TcpSocket{Port: int64(p.TCPSocket.Port)}
	}
	return out
}
