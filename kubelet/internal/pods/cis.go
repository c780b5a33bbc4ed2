package pods

import (
	"context"
	"time"

	"cis/api"
)

// Cis is what is used of the client of /v1.
type Cis interface {
	Create(ctx context.Context, req api.CreateInstance) (api.Instance, error)
	AddContainer(ctx context.Context, ref string, c api.EphemeralContainer) (api.Instance, error)
	Resize(ctx context.Context, ref string, r api.InstanceResize) (api.Instance, error)
	Get(ctx context.Context, ref string) (api.Instance, error)
	List(ctx context.Context, opts api.ListOptions) (api.List[api.Instance], error)
	Watch(ctx context.Context, opts api.ListOptions, revision int64, fn func(api.WatchEvent[api.Instance]) error) error
	WatchEvents(ctx context.Context, opts api.EventOptions, fn func(api.Event) error) error
	Stop(ctx context.Context, ref string, grace *time.Duration) (api.Instance, error)
	Remove(ctx context.Context, ref string, force bool, grace *time.Duration) error
	PutSecret(ctx context.Context, s api.Secret) (api.Secret, error)
	Secrets(ctx context.Context) ([]api.Secret, error)
	RemoveSecret(ctx context.Context, name string) error
}
