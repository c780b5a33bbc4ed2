package client

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/url"
	"strconv"
	"time"

	"cis/api"
)

// ListOptions choose instances.
type ListOptions = api.ListOptions

func listQuery(o ListOptions) url.Values {
	q := url.Values{}
	set(q, "selector", o.Selector)
	set(q, "limit", o.Limit)
	set(q, "continue", o.Continue)
	for _, phase := range o.Phases {
		q.Add("phase", string(phase))
	}
	return q
}

// Create records an instance and starts it. With a client token that was used
// before it returns the instance of then.
func (c *Client) Create(ctx context.Context, req api.CreateInstance) (api.Instance, error) {
	return fetch[api.Instance](ctx, c, call{method: "POST", path: "/v1/instances", body: req})
}

// Get returns an instance by name, ID or the beginning of its ID.
func (c *Client) Get(ctx context.Context, ref string) (api.Instance, error) {
	return fetch[api.Instance](ctx, c, call{method: "GET", path: instancePath(ref)})
}

// List returns one page.
func (c *Client) List(ctx context.Context, opts ListOptions) (api.List[api.Instance], error) {
	return fetch[api.List[api.Instance]](ctx, c, call{method: "GET", path: "/v1/instances", query: listQuery(opts)})
}

// All goes through every page. An error is the last it gives.
func (c *Client) All(ctx context.Context, opts ListOptions) iter.Seq2[api.Instance, error] {
	return func(yield func(api.Instance, error) bool) {
		for {
			page, err := c.List(ctx, opts)
			if err != nil {
				yield(api.Instance{}, err)
				return
			}
			for _, in := range page.Items {
				if !yield(in, nil) {
					return
				}
			}
			if page.Continue == "" {
				return
			}
			opts.Continue = page.Continue
		}
	}
}

// Watch calls fn for each change after the revision (0: first ADDED for all that
// exist), until fn fails or ctx ends. It always returns an error.
func (c *Client) Watch(ctx context.Context, opts ListOptions, revision int64, fn func(api.WatchEvent[api.Instance]) error) error {
	q := listQuery(opts)
	set(q, "revision", revision)
	return watch(ctx, c, "/v1/instances", q, fn)
}

// watch reads the lines of any watch.
func watch[T any](ctx context.Context, c *Client, path string, query url.Values, fn func(api.WatchEvent[T]) error) error {
	query.Set("watch", "true")
	resp, err := c.send(ctx, call{method: "GET", path: path, query: query})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	err = lines(ctx, resp.Body, func(event api.WatchEvent[T]) error {
		if event.Type == api.WatchError && event.Error != nil {
			return event.Error
		}
		return fn(event)
	})
	if err == nil {
		return streamError(ctx, io.ErrUnexpectedEOF)
	}
	return err
}

// Wait returns the instance once it has finished. There is no time limit but ctx's.
func (c *Client) Wait(ctx context.Context, ref string) (api.Instance, error) {
	return fetch[api.Instance](ctx, c, call{method: "GET", path: instancePath(ref, "/wait")})
}

func graceQuery(grace *time.Duration) url.Values {
	q := url.Values{}
	if grace != nil {
		q.Set("grace", grace.String())
	}
	return q
}

// Resize gives an instance another size while it runs. Its status.resources tells when that
// holds.
func (c *Client) Resize(ctx context.Context, ref string, r api.InstanceResize) (api.Instance, error) {
	return fetch[api.Instance](ctx, c, call{method: "POST", path: instancePath(ref, "/resize"), body: r})
}

// AddContainer adds a container to an instance that runs. It has started, or cannot be
// started, when Attach to it or the instance's status says so.
func (c *Client) AddContainer(ctx context.Context, ref string, container api.EphemeralContainer) (api.Instance, error) {
	return fetch[api.Instance](ctx, c, call{method: "POST", path: instancePath(ref, "/ephemeralcontainers"), body: container})
}

// SetSecurityGroups puts an instance into these security groups, live, and out of others.
func (c *Client) SetSecurityGroups(ctx context.Context, ref string, groups ...string) (api.Instance, error) {
	return fetch[api.Instance](ctx, c, call{method: "PUT", path: instancePath(ref, "/securitygroups"), body: api.InstanceGroups{SecurityGroups: groups}})
}

// Stop ends the programs; the record stays. Nil grace: the spec's.
func (c *Client) Stop(ctx context.Context, ref string, grace *time.Duration) (api.Instance, error) {
	return fetch[api.Instance](ctx, c, call{method: "POST", path: instancePath(ref, "/stop"), query: graceQuery(grace)})
}

// Start runs a finished instance again.
func (c *Client) Start(ctx context.Context, ref string) (api.Instance, error) {
	return fetch[api.Instance](ctx, c, call{method: "POST", path: instancePath(ref, "/start")})
}

// Restart is Stop and Start.
func (c *Client) Restart(ctx context.Context, ref string, grace *time.Duration) (api.Instance, error) {
	return fetch[api.Instance](ctx, c, call{method: "POST", path: instancePath(ref, "/restart"), query: graceQuery(grace)})
}

// Remove deletes the record of a finished instance; with force it first ends a
// running one (grace nil: at once).
func (c *Client) Remove(ctx context.Context, ref string, force bool, grace *time.Duration) error {
	q := graceQuery(grace)
	set(q, "force", force)
	_, err := c.do(ctx, call{method: "DELETE", path: instancePath(ref), query: q}, nil)
	return err
}

// Kill sends a signal to a container's program; empty container: the first.
func (c *Client) Kill(ctx context.Context, ref, container string, signal int) error {
	q := url.Values{"signal": {strconv.Itoa(signal)}}
	set(q, "container", container)
	_, err := c.do(ctx, call{method: "POST", path: instancePath(ref, "/kill"), query: q}, nil)
	return err
}

// Console returns what the kernel of an instance that is a VM has printed.
func (c *Client) Console(ctx context.Context, ref string) (api.Console, error) {
	return fetch[api.Console](ctx, c, call{method: "GET", path: instancePath(ref, "/console")})
}

// Stats returns what an instance uses now.
func (c *Client) Stats(ctx context.Context, ref string) (api.Stats, error) {
	return fetch[api.Stats](ctx, c, call{method: "GET", path: instancePath(ref, "/stats")})
}

// CopyOut writes a file or directory of a container to w, as a tar stream. A
// stream that broke off is an error.
func (c *Client) CopyOut(ctx context.Context, ref, container, path string, w io.Writer) error {
	resp, err := c.send(ctx, call{method: "GET", path: instancePath(ref, "/archive"), query: archiveQuery(container, path)})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return copyBody(ctx, w, resp.Body)
}

// CopyIn unpacks a tar stream into a directory of a container.
func (c *Client) CopyIn(ctx context.Context, ref, container, path string, r io.Reader) error {
	_, err := c.do(ctx, call{method: "PUT", path: instancePath(ref, "/archive"), query: archiveQuery(container, path), stream: onlyReader{r}}, nil)
	return err
}

func archiveQuery(container, path string) url.Values {
	q := url.Values{"path": {path}}
	set(q, "container", container)
	return q
}

// onlyReader keeps net/http from closing a caller's reader.
type onlyReader struct{ io.Reader }

// copyBody tells the reply's errors from the writer's.
func copyBody(ctx context.Context, w io.Writer, body io.Reader) error {
	source := &sourceReader{r: body}
	_, err := io.Copy(w, source)
	if source.err != nil {
		return streamError(ctx, source.err)
	}
	return err
}

// sourceReader remembers its error.
type sourceReader struct {
	r   io.Reader
	err error
}

func (s *sourceReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}
