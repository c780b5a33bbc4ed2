package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"cis/api"
)

// call is one request.
type call struct {
	method, path string
	query        url.Values
	// body is sent as JSON, stream as it is.
	body   any
	stream io.Reader
}

// send makes a request and returns its reply, whose body the caller closes. Any
// status but a success is an error.
func (c *Client) send(ctx context.Context, what call) (*http.Response, error) {
	body := what.stream
	if what.body != nil {
		data, err := json.Marshal(what.body)
		if err != nil {
			return nil, api.Errorf(api.Invalid, "the request cannot be written as JSON: %w", err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, what.method, c.url(what.path, what.query), body)
	if err != nil {
		return nil, api.Errorf(api.Invalid, "the request cannot be made: %w", err)
	}
	req.Header = c.header()
	if what.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.connectionError(ctx, err)
	}
	if resp.StatusCode >= 300 {
		defer resp.Body.Close()
		return nil, problem(resp)
	}
	return resp, nil
}

// do makes a request and reads its reply into result, unless that is nil.
func (c *Client) do(ctx context.Context, what call, result any) (status int, err error) {
	resp, err := c.send(ctx, what)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if result != nil {
		if err := json.NewDecoder(resp.Body).Decode(result); err != nil {
			return 0, streamError(ctx, err)
		}
	}
	// A body read to its end leaves the connection for the next request.
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	return resp.StatusCode, nil
}

// fetch is do for a result of any type.
func fetch[T any](ctx context.Context, c *Client, what call) (T, error) {
	var result T
	_, err := c.do(ctx, what, &result)
	return result, err
}

// problem reads the error of a reply.
func problem(resp *http.Response) error {
	data, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	var p api.Problem
	if json.Unmarshal(data, &p) == nil && p.Code != "" {
		return p.Err()
	}
	text, _, _ := strings.Cut(strings.TrimSpace(string(data)), "\n")
	return api.Errorf(codeOf(resp.StatusCode), "the server answered %s: %.200s", resp.Status, text).
		WithNext("check that the host is cisd")
}

// codeOf is for answers that are not of cisd, such as a proxy's.
func codeOf(status int) api.Code {
	switch {
	case status == http.StatusUnauthorized:
		return api.Unauthenticated
	case status == http.StatusForbidden:
		return api.Forbidden
	case status == http.StatusNotFound:
		return api.NotFound
	case status == http.StatusBadGateway, status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		return api.Unavailable
	case status < 500:
		return api.Invalid
	default:
		return api.Internal
	}
}

// connectionError explains why a request got no reply.
func (c *Client) connectionError(ctx context.Context, err error) error {
	// What a stream's own error was, net/http passes on inside its own.
	if own, ok := errors.AsType[*api.Error](err); ok {
		return own
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // the method and URL say nothing to a user
	}
	where := c.base
	if c.socket != "" {
		where = c.socket
	}
	e := &api.Error{Code: api.Unavailable, Err: disconnected(err)}
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		e.Message = fmt.Sprintf("nothing answers at %s: %s", where, err)
		return e.WithNext("start cisd with 'make up' or 'systemctl start cisd', or say where it listens: --host or CIS_HOST")
	case errors.Is(err, os.ErrPermission):
		return api.Errorf(api.Forbidden, "you may not use %s: %w", where, err).
			WithNext("run as root, or join the group cis: usermod -aG cis USER, then log in again")
	default:
		e.Message = fmt.Sprintf("the request to %s failed: %s", where, err)
		return e
	}
}

// streamError explains why a reply broke off.
func streamError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return &api.Error{Code: api.Unavailable, Message: "the server's reply broke off: " + err.Error(),
		Next: "see whether cisd is still running, then try again", Err: disconnected(err)}
}

// lines hands each JSON value of a reply to fn, until the reply ends (nil) or
// fn fails.
func lines[T any](ctx context.Context, body io.Reader, fn func(T) error) error {
	dec := json.NewDecoder(body)
	for {
		var line T
		if err := dec.Decode(&line); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return streamError(ctx, err)
		}
		if err := fn(line); err != nil {
			return err
		}
	}
}

// set puts a parameter into a query unless it is zero.
func set[T comparable](query url.Values, name string, value T) {
	var zero T
	if value != zero {
		query.Set(name, fmt.Sprint(value))
	}
}

// setTime puts a time into a query unless it is zero.
func setTime(query url.Values, name string, t time.Time) {
	if !t.IsZero() {
		query.Set(name, t.UTC().Format(time.RFC3339Nano))
	}
}
