package agentpb

import (
	"context"
	"errors"
	"io"

	"cis/api"

	"github.com/containerd/ttrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// statusCodes is the one mapping of error codes to the protocol's.
var statusCodes = map[api.Code]codes.Code{
	api.Invalid:         codes.InvalidArgument,
	api.Unauthenticated: codes.Unauthenticated,
	api.Forbidden:       codes.PermissionDenied,
	api.NotFound:        codes.NotFound,
	api.Conflict:        codes.FailedPrecondition,
	api.Exhausted:       codes.ResourceExhausted,
	api.Unavailable:     codes.Unavailable,
	api.Internal:        codes.Internal,
}

// ToError makes the protocol's form of an error; nil of nil. An error that is no
// *api.Error becomes Internal.
func ToError(err error) *Error {
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*api.Error](err)
	if !ok {
		e = &api.Error{Code: api.Internal, Message: err.Error()}
	}
	return &Error{Code: string(e.Code), Message: e.Message, Field: e.Field, Next: e.Next}
}

// FromError is ToError's way back.
func FromError(e *Error) error {
	if e == nil {
		return nil
	}
	code := api.Code(e.Code)
	if _, known := statusCodes[code]; !known {
		code = api.Internal
	}
	return &api.Error{Code: code, Message: e.Message, Field: e.Field, Next: e.Next}
}

// ToStatus makes the status error of a unary call.
func ToStatus(err error) error {
	if err == nil {
		return nil
	}
	e := ToError(err)
	s := status.New(statusCodes[api.Code(e.Code)], e.Message)
	if detailed, err := s.WithDetails(e); err == nil {
		s = detailed
	}
	return s.Err()
}

// FromStatus makes an *api.Error of what a call returned: of a status its own, of a
// broken connection Unavailable. A context's error stays what it is.
func FromStatus(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if _, ok := errors.AsType[*api.Error](err); ok {
		return err
	}
	if isBroken(err) {
		return api.Errorf(api.Unavailable, "the connection to the agent broke: %w", err)
	}
	s, ok := status.FromError(err)
	if !ok {
		return api.Errorf(api.Internal, "agent: %w", err)
	}
	if s.Code() == codes.Unimplemented {
		// Agents outlive an upgrade of cisd.
		return api.Errorf(api.Unavailable, "the instance's agent is older than this cisd and cannot do that").WithNext("restart the instance")
	}
	for _, d := range s.Details() {
		if e, ok := d.(*Error); ok {
			return FromError(e)
		}
	}
	for code, c := range statusCodes {
		if c == s.Code() {
			return api.Errorf(code, "%s", s.Message())
		}
	}
	return api.Errorf(api.Internal, "agent: %s", s.Message())
}

func isBroken(err error) bool {
	return errors.Is(err, ttrpc.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
