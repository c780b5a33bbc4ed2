package eksci

import (
	"context"

	"cis/api"
	"cis/internal/cloudapi/cloud"
)

func (p *product) update(ctx context.Context, r *UpdateEKSContainerInstanceRequest) (*UpdateEKSContainerInstanceResponse, error) {
	in, err := p.find(ctx, "EksCiId", r.EksCiId)
	if err != nil {
		return nil, err
	}
	u := api.InstanceUpdate{RestartPolicy: api.RestartPolicy(r.RestartPolicy)}
	if u.RegistryAuth, err = registryAuth(r.ImageRegistryCredentials); err != nil {
		return nil, err
	}
	if u.Containers, err = containers("Containers", r.Containers); err != nil {
		return nil, err
	}
	if u.InitContainers, err = containers("InitContainers", r.InitContainers); err != nil {
		return nil, err
	}
	u.Default()
	if err := u.Validate(in.Spec, p.defaults); err != nil {
		return nil, err
	}
	if _, err := p.engine.Update(ctx, in.ID, u); err != nil {
		return nil, err
	}
	return &UpdateEKSContainerInstanceResponse{EksCiId: cloud.OutsideID(prefix, in.ID)}, nil
}
