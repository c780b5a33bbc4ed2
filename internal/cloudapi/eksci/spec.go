package eksci

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"cis/api"
	"cis/internal/cloudapi/cloud"
)

// spec is the instance that a request asks for, without its name and public address.
func (r *CreateEKSContainerInstancesRequest) spec() (req api.CreateInstance, err error) {
	if err := cloud.CheckID("VpcId", "vpc-", r.VpcId); err != nil {
		return req, err
	}
	if err := cloud.CheckID("SubnetId", "subnet-", r.SubnetId); err != nil {
		return req, err
	}
	if len(r.SecurityGroupIds) == 0 {
		return req, cloud.Bad("SecurityGroupIds", "must name at least one security group")
	}
	for i, id := range r.SecurityGroupIds {
		if err := cloud.CheckID(fmt.Sprintf("SecurityGroupIds.%d", i), "sg-", id); err != nil {
			return req, err
		}
	}
	req.Network = api.NetworkSpec{VPC: r.VpcId, Subnet: r.SubnetId, SecurityGroups: r.SecurityGroupIds}
	if req.CPU, err = cloud.CPU("Cpu", r.Cpu); err != nil {
		return req, err
	}
	if req.Memory, err = cloud.Memory("Memory", r.Memory); err != nil {
		return req, err
	}
	req.RestartPolicy = api.RestartAlways
	if r.RestartPolicy != "" {
		req.RestartPolicy = api.RestartPolicy(r.RestartPolicy)
	}
	if req.Volumes, err = r.EksCiVolume.spec(); err != nil {
		return req, err
	}
	req.DNSConfig = r.DnsConfig.spec()
	if req.RegistryAuth, err = registryAuth(r.ImageRegistryCredentials); err != nil {
		return req, err
	}
	if req.Containers, err = containers("Containers", r.Containers); err != nil {
		return req, err
	}
	req.InitContainers, err = containers("InitContainers", r.InitContainers)
	return req, err
}

// spec are the volumes: the disks, and behind them (see placed) the directories of servers.
func (v *EksCiVolume) spec() (out []api.Volume, err error) {
	if v == nil {
		return nil, nil
	}
	for i, c := range v.CbsVolumes {
		if err := cloud.CheckID(fmt.Sprintf("EksCiVolume.CbsVolumes.%d.CbsDiskId", i), "disk-", c.CbsDiskId); err != nil {
			return nil, err
		}
		out = append(out, api.Volume{Name: c.Name, Disk: &api.DiskVolume{Name: c.CbsDiskId}})
	}
	for _, n := range v.NfsVolumes {
		out = append(out, api.Volume{Name: n.Name, NFS: &api.NFSVolume{Server: n.Server, Path: n.Path, ReadOnly: n.ReadOnly}})
	}
	return out, nil
}

// placed gives the mistakes in an instance's volumes the places that those have in a request,
// which lists disks and directories of servers each for themselves.
func (v *EksCiVolume) placed(err error) error {
	e, ok := errors.AsType[*api.Error](err)
	if !ok || v == nil {
		return err
	}
	next := *e
	if rest, ok := strings.CutPrefix(e.Field, "volumes["); ok {
		number, rest, _ := strings.Cut(rest, "]")
		if i, err := strconv.Atoi(number); err == nil && i >= len(v.CbsVolumes) {
			next.Field = fmt.Sprintf("nfsVolumes[%d]%s", i-len(v.CbsVolumes), strings.TrimPrefix(rest, ".nfs"))
		}
	}
	next.Errors = nil
	for _, one := range e.Errors {
		next.Errors = append(next.Errors, v.placed(one).(*api.Error))
	}
	return &next
}

// registryAuth is the one credential that an instance can have.
func registryAuth(all []ImageRegistryCredential) (*api.RegistryAuth, error) {
	switch len(all) {
	case 0:
		return nil, nil
	case 1:
		return &api.RegistryAuth{Registry: all[0].Server, Username: all[0].Username, Password: all[0].Password}, nil
	}
	return nil, cloud.Refused("ImageRegistryCredentials.1", "an instance has one credential here")
}

func (d *DNSConfig) spec() *api.DNSConfig {
	if d == nil {
		return nil
	}
	out := &api.DNSConfig{Nameservers: d.Nameservers, Searches: d.Searches}
	for _, o := range d.Options {
		out.Options = append(out.Options, api.DNSOption{Name: o.Name, Value: o.Value})
	}
	return out
}

// containers are what a list asks for: nothing, where there is no list.
func containers(path string, all []Container) (out []api.Container, err error) {
	if all != nil {
		out = []api.Container{}
	}
	for i, c := range all {
		one, err := c.spec(fmt.Sprintf("%s.%d", path, i))
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

func (c *Container) spec(path string) (out api.Container, err error) {
	if c.Name == "" {
		return out, cloud.Bad(path+".Name", "must not be empty")
	}
	out = api.Container{Name: c.Name, Image: c.Image, Command: c.Commands, Args: c.Args, WorkingDir: c.WorkingDir}
	if c.Cpu != 0 {
		if out.Resources.Limits.CPU, err = cloud.CPU(path+".Cpu", c.Cpu); err != nil {
			return out, err
		}
	}
	if c.Memory != 0 {
		if out.Resources.Limits.Memory, err = cloud.Memory(path+".Memory", c.Memory); err != nil {
			return out, err
		}
	}
	for _, v := range c.EnvironmentVars {
		out.Env = append(out.Env, api.EnvVar{Name: v.Name, Value: v.Value})
	}
	for _, m := range c.VolumeMounts {
		out.VolumeMounts = append(out.VolumeMounts, api.VolumeMount{Name: m.Name, MountPath: m.MountPath, ReadOnly: m.ReadOnly})
	}
	if s := c.SecurityContext; s != nil && s.Capabilities != nil {
		out.SecurityContext = &api.SecurityContext{Capabilities: &api.Capabilities{Add: s.Capabilities.Add, Drop: s.Capabilities.Drop}}
	}
	out.LivenessProbe, out.ReadinessProbe = c.LivenessProbe.spec(), c.ReadinessProbe.spec()
	return out, nil
}

func (p *LivenessOrReadinessProbe) spec() *api.Probe {
	if p == nil {
		return nil
	}
	n := p.Probe
	out := &api.Probe{InitialDelaySeconds: number(n.InitialDelaySeconds), PeriodSeconds: number(n.PeriodSeconds), TimeoutSeconds: number(n.TimeoutSeconds),
		SuccessThreshold: number(n.SuccessThreshold), FailureThreshold: number(n.FailureThreshold)}
	if h := p.HttpGet; h != nil {
		out.HTTPGet = &api.HTTPGetAction{Path: h.Path, Port: number(h.Port), Scheme: h.Scheme}
	}
	if p.Exec != nil {
		out.Exec = &api.ExecAction{Command: p.Exec.Commands}
	}
	if p.TcpSocket != nil {
		out.TCPSocket = &api.TCPSocketAction{Port: number(p.TcpSocket.Port)}
	}
	return out
}

// number keeps a number that is out of all bounds out of them.
func number(n int64) int { return int(max(-1, min(n, 1<<30))) }
