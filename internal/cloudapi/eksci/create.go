package eksci

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"cis/api"
	"cis/internal/cloudapi/cloud"
)

// never is the policy of a public address that outlives its instance.
const never = "Never"

func (p *product) create(ctx context.Context, r *CreateEKSContainerInstancesRequest) (*CreateEKSContainerInstancesResponse, error) {
	requests, err := p.requests(r)
	if err != nil {
		return nil, err
	}
	keep := r.AutoCreateEipAttribute != nil && r.AutoCreateEipAttribute.DeletePolicy == never
	out := &CreateEKSContainerInstancesResponse{}
	var made undo
	for _, req := range requests {
		id, err := p.createOne(ctx, req, keep, &made)
		if err != nil {
			return nil, made.all(context.WithoutCancel(ctx), r.EksCiVolume.placed(err))
		}
		out.EksCiIds = append(out.EksCiIds, cloud.OutsideID(prefix, id))
	}
	return out, nil
}

// requests are those of all replicas, valid and with their defaults.
func (p *product) requests(r *CreateEKSContainerInstancesRequest) (all []api.CreateInstance, err error) {
	replicas := int64(1)
	if r.Replicas != nil {
		if replicas = *r.Replicas; replicas < 1 || replicas > maxBatch {
			return nil, cloud.Bad("Replicas", "must be 1 to %d, not %d", maxBatch, replicas)
		}
	}
	if err := r.checkAddresses(replicas); err != nil {
		return nil, err
	}
	if v := r.EksCiVolume; v != nil && len(v.CbsVolumes) > 0 && replicas > 1 {
		return nil, cloud.Bad("Replicas", "must be 1 with CbsVolumes: a disk is one instance's at a time")
	}
	if r.EksCiName == "" {
		return nil, cloud.Bad("EksCiName", "must not be empty")
	}
	for i := range int(replicas) {
		req, err := r.spec() // each its own: defaults are written into it
		if err != nil {
			return nil, err
		}
		req.Name = r.EksCiName
		if replicas > 1 {
			req.Name += "-" + strconv.Itoa(i)
			req.Labels = map[string]string{nameLabel: r.EksCiName}
		}
		switch {
		case len(r.ExistedEipIds) > 0:
			req.Network.PublicAddress = r.ExistedEipIds[i]
		case r.AutoCreateEip || r.AutoCreateEipAttribute != nil:
			req.Network.PublicAddress = api.AutoAddress
		}
		req.Default(p.defaults)
		if err := req.Validate(p.defaults); err != nil {
			return nil, r.EksCiVolume.placed(err)
		}
		all = append(all, req)
	}
	return all, nil
}

func (r *CreateEKSContainerInstancesRequest) checkAddresses(replicas int64) error {
	if len(r.ExistedEipIds) == 0 {
		return nil
	}
	if r.AutoCreateEip {
		return cloud.Bad("AutoCreateEip", "excludes ExistedEipIds")
	}
	if r.AutoCreateEipAttribute != nil {
		return cloud.Bad("AutoCreateEipAttribute", "excludes ExistedEipIds")
	}
	if int64(len(r.ExistedEipIds)) != replicas {
		return cloud.Bad("ExistedEipIds", "must have an address for each of the %d replicas, not %d", replicas, len(r.ExistedEipIds))
	}
	for i, id := range r.ExistedEipIds {
		if err := cloud.CheckID(fmt.Sprintf("ExistedEipIds.%d", i), "eip-", id); err != nil {
			return err
		}
	}
	return nil
}

// createOne makes a replica, and a public address first that is to outlive it.
func (p *product) createOne(ctx context.Context, req api.CreateInstance, keep bool, made *undo) (id string, err error) {
	if keep {
		a, err := p.engine.CreateAddress(ctx, api.Address{Labels: map[string]string{madeForLabel: req.Name}})
		if err != nil {
			return "", err
		}
		made.add(func(ctx context.Context) error { return p.engine.RemoveAddress(ctx, a.ID) })
		req.Network.PublicAddress = a.ID
	}
	in, _, err := p.engine.Create(ctx, req)
	if err != nil {
		return "", err
	}
	made.add(func(ctx context.Context) error { return p.engine.Remove(ctx, in.ID, true, new(time.Duration)) })
	return in.ID, nil
}

// undo takes back what was made, the latest first.
type undo []func(context.Context) error

func (u *undo) add(step func(context.Context) error) { *u = append(*u, step) }

// all takes everything back, and returns why, with what could not be.
func (u undo) all(ctx context.Context, why error) error {
	told := *cloud.From(why, names)
	errs := []error{told.Err}
	for i := range u {
		errs = append(errs, u[len(u)-1-i](ctx))
	}
	told.Err = errors.Join(errs...)
	return &told
}
