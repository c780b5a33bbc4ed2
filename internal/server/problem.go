package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"cis/api"
)

// statusOf maps the codes of errors to HTTP.
func statusOf(code api.Code) int {
	switch code {
	case api.Invalid:
		return http.StatusBadRequest
	case api.Unauthenticated:
		return http.StatusUnauthorized
	case api.Forbidden:
		return http.StatusForbidden
	case api.NotFound:
		return http.StatusNotFound
	case api.Conflict:
		return http.StatusConflict
	case api.Exhausted:
		return http.StatusInsufficientStorage
	case api.Unavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// statusError is an error about HTTP itself, with a status that no code has.
type statusError struct {
	status int
	err    *api.Error
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

// errShutdown ends the streams when the server stops.
var errShutdown = api.Errorf(api.Unavailable, "the server is shutting down").WithNext("try again when it is back")

// statusClientGone is for the log only: nobody is left to be told.
const statusClientGone = 499

// toAPI makes an error fit to leave: what carries no code is a fault of ours,
// whose cause stays in the log.
func toAPI(ctx context.Context, err error) *api.Error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(cause, errShutdown) && errors.Is(err, context.Canceled) {
		return errShutdown
	}
	if e, ok := errors.AsType[*api.Error](err); ok {
		return e
	}
	return &api.Error{Code: api.Internal, Message: "something went wrong inside cis",
		Next: "look for this request's ID in the log of cisd: " + requestID(ctx), Err: err}
}

// problemOf describes an error for the body of a reply.
func problemOf(ctx context.Context, err error) *api.Problem {
	e := toAPI(ctx, err)
	status := statusOf(e.Code)
	if special, ok := errors.AsType[*statusError](err); ok {
		status = special.status
	}
	return &api.Problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status,
		Detail: e.Message, Code: e.Code, Field: e.Field, Next: e.Next,
		Instance: requestID(ctx), Errors: e.Errors,
	}
}

// writeProblem ends a request that has not been answered yet.
func writeProblem(w http.ResponseWriter, ctx context.Context, err error) {
	p := problemOf(ctx, err)
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="cis"`)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}
