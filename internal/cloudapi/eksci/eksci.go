// Package eksci is the family of container instances of the product tke of the cloud
// API, of version 2018-05-25. Its types bear the product's own names.
package eksci

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cis/api"
	"cis/internal/cloudapi/cloud"
)

// Engine is what the product needs of the engine.
type Engine interface {
	cloud.Searcher
	cloud.Logger
	cloud.Networker
	cloud.Eventer
	Create(ctx context.Context, req api.CreateInstance) (api.Instance, bool, error)
	Get(ctx context.Context, ref string) (api.Instance, error)
	Update(ctx context.Context, ref string, u api.InstanceUpdate) (api.Instance, error)
	Restart(ctx context.Context, ref string, grace *time.Duration) (api.Instance, error)
	Remove(ctx context.Context, ref string, force bool, grace *time.Duration) error
	Disks(ctx context.Context) ([]api.Disk, error)
	Addresses(ctx context.Context) ([]api.Address, error)
	CreateAddress(ctx context.Context, a api.Address) (api.Address, error)
	RemoveAddress(ctx context.Context, ref string) error
}

// prefix begins the IDs of instances in this product.
const prefix = "eksci-"

// nameLabel holds the name that several replicas were asked for by.
const nameLabel = "eksci.cis/name"

// madeForLabel marks a public address that was made for an instance and outlives it.
const madeForLabel = "eksci.cis/made-for"

// maxBatch bounds the instances of one request.
const maxBatch = 20

type product struct {
	engine   Engine
	place    cloud.Place
	defaults api.Defaults
}

// New makes the product for a place; the defaults are those of instances.
func New(e Engine, place cloud.Place, defaults api.Defaults) cloud.Product {
	p := &product{e, place, defaults}
	return cloud.Product{Name: "tke", Version: "2018-05-25", Names: names, Actions: []cloud.Action{
		cloud.Changes("CreateEKSContainerInstances", func(r *CreateEKSContainerInstancesRequest) string { return r.EksCiName }, p.create),
		cloud.Changes("UpdateEKSContainerInstance", func(r *UpdateEKSContainerInstanceRequest) string { return r.EksCiId }, p.update),
		cloud.Changes("RestartEKSContainerInstances", func(r *RestartEKSContainerInstancesRequest) string { return strings.Join(r.EksCiIds, ",") }, p.restart),
		cloud.Changes("DeleteEKSContainerInstances", func(r *DeleteEKSContainerInstancesRequest) string { return strings.Join(r.EksCiIds, ",") }, p.remove),
		cloud.Reads("DescribeEKSContainerInstances", nil, p.list),
		cloud.Reads("DescribeEKSContainerInstanceEvent", func(r *DescribeEKSContainerInstanceEventRequest) string { return r.EksCiId }, p.events),
		cloud.Reads("DescribeEksContainerInstanceLog", func(r *DescribeEksContainerInstanceLogRequest) string { return r.EksCiId }, p.logs),
		cloud.Reads("DescribeEKSContainerInstanceRegions", nil, p.regions),
	}}
}

// names are those of this product for the fields of an instance.
var names = cloud.Names{
	Whole: map[string]string{"name": "EksCiName", "hostname": "EksCiName", "restartPolicy": "RestartPolicy", "cpu": "Cpu", "memory": "Memory", "size": "Cpu",
		"containers": "Containers", "network.vpc": "VpcId", "network.subnet": "SubnetId", "network.securityGroups": "SecurityGroupIds",
		"network.publicAddress": "ExistedEipIds", "registryAuth": "ImageRegistryCredentials.0"},
	Parts: []string{"containers[", "Containers.", "initContainers[", "InitContainers.", ".resources.limits.cpu", ".Cpu", ".resources.limits.memory", ".Memory",
		".image", ".Image", ".command", ".Commands", ".args", ".Args", ".env[", ".EnvironmentVars.", ".value", ".Value", ".workingDir", ".WorkingDir",
		".volumeMounts[", ".VolumeMounts.", ".mountPath", ".MountPath", ".livenessProbe", ".LivenessProbe", ".readinessProbe", ".ReadinessProbe",
		".exec.command", ".Exec.Commands", ".httpGet", ".HttpGet", ".tcpSocket", ".TcpSocket", ".path", ".Path", ".port", ".Port", ".scheme", ".Scheme",
		".initialDelaySeconds", ".Probe.InitialDelaySeconds", ".timeoutSeconds", ".Probe.TimeoutSeconds", ".periodSeconds", ".Probe.PeriodSeconds",
		".successThreshold", ".Probe.SuccessThreshold", ".failureThreshold", ".Probe.FailureThreshold",
		".securityContext.capabilities.add", ".SecurityContext.Capabilities.Add", ".securityContext.capabilities.drop", ".SecurityContext.Capabilities.Drop",
		"network.securityGroups[", "SecurityGroupIds.", "dnsConfig.nameservers", "DnsConfig.Nameservers", "dnsConfig.searches", "DnsConfig.Searches",
		"dnsConfig.options", "DnsConfig.Options", "registryAuth.registry", "ImageRegistryCredentials.0.Server",
		"nfsVolumes[", "EksCiVolume.NfsVolumes.", ".server", ".Server", "volumes[", "EksCiVolume.CbsVolumes.", ".disk.name", ".CbsDiskId", ".disk", ".CbsDiskId", ".name", ".Name"},
}

// insideID is the ID of an instance by the one that is shown.
func insideID(path, outside string) (string, error) {
	id, ok := cloud.InsideID(prefix, outside)
	if !ok {
		return "", cloud.Bad(path, "must be an ID of %s and 12 hexadecimal digits, not %q", prefix, outside[:min(len(outside), 64)])
	}
	return id, nil
}

// find reads an instance by the ID that is shown.
func (p *product) find(ctx context.Context, path, outside string) (api.Instance, error) {
	id, err := insideID(path, outside)
	if err != nil {
		return api.Instance{}, err
	}
	in, err := p.engine.Get(ctx, id)
	if api.CodeOf(err) == api.NotFound || err == nil && in.ID != id {
		return in, cloud.Errorf(cloud.ResourceNotFound, "%s: there is no container instance %s", path, outside)
	}
	return in, err
}

// findAll reads instances by their IDs, and fails if one is missing.
func (p *product) findAll(ctx context.Context, outside []string) (all []api.Instance, err error) {
	if len(outside) == 0 || len(outside) > maxBatch {
		return nil, cloud.Bad("EksCiIds", "must be 1 to %d IDs, not %d", maxBatch, len(outside))
	}
	seen := map[string]bool{}
	for i, id := range outside {
		in, err := p.find(ctx, fmt.Sprintf("EksCiIds.%d", i), id)
		if err != nil {
			return nil, err
		}
		if seen[in.ID] {
			return nil, cloud.Bad(fmt.Sprintf("EksCiIds.%d", i), "%s is given twice", id)
		}
		seen[in.ID] = true
		all = append(all, in)
	}
	return all, nil
}

// each does something to all instances at once.
func each(all []api.Instance, do func(api.Instance) error) error {
	failed := make(chan error, len(all))
	for _, in := range all {
		go func() { failed <- do(in) }()
	}
	var errs []error
	for range all {
		if err := <-failed; err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		return nil
	}
	// The first says what clients are told; the rest goes to the log.
	told := *cloud.From(errs[0], names)
	told.Err = errors.Join(errs...)
	return &told
}

func (p *product) restart(ctx context.Context, r *RestartEKSContainerInstancesRequest) (*cloud.Nothing, error) {
	all, err := p.findAll(ctx, r.EksCiIds)
	if err != nil {
		return nil, err
	}
	return &cloud.Nothing{}, each(all, func(in api.Instance) error {
		_, err := p.engine.Restart(ctx, in.ID, nil)
		return err
	})
}

func (p *product) remove(ctx context.Context, r *DeleteEKSContainerInstancesRequest) (*cloud.Nothing, error) {
	all, err := p.findAll(ctx, r.EksCiIds)
	if err != nil {
		return nil, err
	}
	kept, err := p.madeFor(ctx)
	if err != nil {
		return nil, err
	}
	return &cloud.Nothing{}, each(all, func(in api.Instance) error {
		grace := cloud.Grace(in.Spec)
		if err := p.engine.Remove(ctx, in.ID, true, &grace); err != nil {
			return err
		}
		if a, ok := kept[in.ID]; ok && r.ReleaseAutoCreatedEip && !a.Auto {
			return p.engine.RemoveAddress(ctx, a.ID)
		}
		return nil
	})
}

// madeFor are the public addresses that were made for instances, by the instances' IDs.
func (p *product) madeFor(ctx context.Context) (map[string]api.Address, error) {
	all, err := p.engine.Addresses(ctx)
	if err != nil {
		return nil, err
	}
	made := map[string]api.Address{}
	for _, a := range all {
		if a.Auto || a.Labels[madeForLabel] != "" {
			made[a.InstanceID] = a
		}
	}
	return made, nil
}

func (p *product) events(ctx context.Context, r *DescribeEKSContainerInstanceEventRequest) (*DescribeEKSContainerInstanceEventResponse, error) {
	window, err := cloud.NewWindow(nil, r.Limit, 50, 100)
	if err != nil {
		return nil, err
	}
	in, err := p.find(ctx, "EksCiId", r.EksCiId)
	if err != nil {
		return nil, err
	}
	events, err := cloud.Events(ctx, p.engine, in.ID, window.Limit)
	if err != nil {
		return nil, err
	}
	out := &DescribeEKSContainerInstanceEventResponse{EksCiId: r.EksCiId}
	for _, e := range events {
		out.Events = append(out.Events, Event{PodName: e.Instance, Reason: e.Reason, Type: string(e.Type), Count: int64(e.Count),
			FirstTimestamp: cloud.UTCTime(e.FirstSeen), LastTimestamp: cloud.UTCTime(e.LastSeen), Message: e.Message})
	}
	return out, nil
}

func (p *product) regions(context.Context, *DescribeEKSContainerInstanceRegionsRequest) (*DescribeEKSContainerInstanceRegionsResponse, error) {
	return &DescribeEKSContainerInstanceRegionsResponse{TotalCount: 1,
		Regions: []EksCiRegionInfo{{Alias: p.place.Region, RegionName: p.place.Region, RegionId: 1}}}, nil
}
