package client

import (
	"context"
	"io"
	"net/url"

	"cis/api"
)

// EventOptions choose events.
type EventOptions = api.EventOptions

func eventQuery(o EventOptions) url.Values {
	q := url.Values{}
	set(q, "instance", o.Instance)
	set(q, "since", o.Since)
	set(q, "limit", o.Limit)
	return q
}

// Events returns one page, oldest first. The page after it begins with Since set
// to the last ID.
func (c *Client) Events(ctx context.Context, opts EventOptions) (api.List[api.Event], error) {
	return fetch[api.List[api.Event]](ctx, c, call{method: "GET", path: "/v1/events", query: eventQuery(opts)})
}

// WatchEvents calls fn for each event after opts.Since, until fn fails or ctx
// ends. It always returns an error.
func (c *Client) WatchEvents(ctx context.Context, opts EventOptions, fn func(api.Event) error) error {
	return watch(ctx, c, "/v1/events", eventQuery(opts), func(e api.WatchEvent[api.Event]) error { return fn(e.Object) })
}

// PullImage fetches an image. Progress, if not nil, is told of each step.
func (c *Client) PullImage(ctx context.Context, req api.ImagePull, progress func(api.Progress)) (api.Image, error) {
	return c.image(ctx, call{method: "POST", path: "/v1/images/pull", body: req}, progress)
}

// ImportImage takes in an OCI layout, docker-archive or rootfs tar under a name.
func (c *Client) ImportImage(ctx context.Context, ref string, r io.Reader, progress func(api.Progress)) (api.Image, error) {
	q := url.Values{}
	set(q, "ref", ref)
	return c.image(ctx, call{method: "POST", path: "/v1/images/import", query: q, stream: onlyReader{r}}, progress)
}

// image follows a pull or import to its last line.
func (c *Client) image(ctx context.Context, what call, progress func(api.Progress)) (api.Image, error) {
	resp, err := c.send(ctx, what)
	if err != nil {
		return api.Image{}, err
	}
	defer resp.Body.Close()
	var image *api.Image
	err = lines(ctx, resp.Body, func(p api.Progress) error {
		if p.Error != nil {
			return p.Error
		}
		image = p.Image
		if progress != nil {
			progress(p)
		}
		return nil
	})
	switch {
	case err != nil:
		return api.Image{}, err
	case image == nil:
		return api.Image{}, streamError(ctx, io.ErrUnexpectedEOF)
	}
	return *image, nil
}

// Images lists the images on disk.
func (c *Client) Images(ctx context.Context) ([]api.Image, error) {
	list, err := fetch[api.List[api.Image]](ctx, c, call{method: "GET", path: "/v1/images"})
	return list.Items, err
}

// RemoveImage removes an image that no instance uses.
func (c *Client) RemoveImage(ctx context.Context, ref string) error {
	_, err := c.do(ctx, call{method: "DELETE", path: "/v1/images/" + url.PathEscape(ref)}, nil)
	return err
}

// PutSecret keeps a secret, or replaces it; it returns it without its values.
func (c *Client) PutSecret(ctx context.Context, s api.Secret) (api.Secret, error) {
	return fetch[api.Secret](ctx, c, call{method: "PUT", path: "/v1/secrets/" + url.PathEscape(s.Name), body: s})
}

// Secrets lists the secrets without their values.
func (c *Client) Secrets(ctx context.Context) ([]api.Secret, error) {
	list, err := fetch[api.List[api.Secret]](ctx, c, call{method: "GET", path: "/v1/secrets"})
	return list.Items, err
}

// RemoveSecret removes a secret.
func (c *Client) RemoveSecret(ctx context.Context, name string) error {
	_, err := c.do(ctx, call{method: "DELETE", path: "/v1/secrets/" + url.PathEscape(name)}, nil)
	return err
}

// Info describes the host and the server.
func (c *Client) Info(ctx context.Context) (api.Info, error) {
	return fetch[api.Info](ctx, c, call{method: "GET", path: "/v1/info"})
}

// Version tells the server's version.
func (c *Client) Version(ctx context.Context) (api.Version, error) {
	return fetch[api.Version](ctx, c, call{method: "GET", path: "/v1/version"})
}
