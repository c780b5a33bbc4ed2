package cloud

import (
	"errors"
	"fmt"
	"strings"

	"cis/api"
)

// Code is a documented code of the cloud API's errors.
type Code string

// The codes that are given here, of the list that all products have in common.
const (
	InvalidAuthorization     Code = "AuthFailure.InvalidAuthorization"
	SecretIDNotFound         Code = "AuthFailure.SecretIdNotFound"
	SignatureExpire          Code = "AuthFailure.SignatureExpire"
	SignatureFailure         Code = "AuthFailure.SignatureFailure"
	TokenFailure             Code = "AuthFailure.TokenFailure"
	InternalError            Code = "InternalError"
	InvalidAction            Code = "InvalidAction"
	InvalidParameter         Code = "InvalidParameter"
	InvalidParameterValue    Code = "InvalidParameterValue"
	InvalidRequest           Code = "InvalidRequest"
	LimitExceeded            Code = "LimitExceeded"
	MissingParameter         Code = "MissingParameter"
	NoSuchProduct            Code = "NoSuchProduct"
	NoSuchVersion            Code = "NoSuchVersion"
	RequestLimitExceeded     Code = "RequestLimitExceeded"
	RequestSizeLimitExceeded Code = "RequestSizeLimitExceeded"
	ResourceInUse            Code = "ResourceInUse"
	ResourceInsufficient     Code = "ResourceInsufficient"
	ResourceNotFound         Code = "ResourceNotFound"
	ServiceUnavailable       Code = "ServiceUnavailable"
	UnauthorizedOperation    Code = "UnauthorizedOperation"
	UnknownParameter         Code = "UnknownParameter"
	UnsupportedOperation     Code = "UnsupportedOperation"
	UnsupportedProtocol      Code = "UnsupportedProtocol"
	UnsupportedRegion        Code = "UnsupportedRegion"
)

// Error is what a client of the cloud API is told.
type Error struct {
	Code    Code
	Message string
	// Err is the inner cause; it is logged and never shown.
	Err error
}

// Error implements error.
func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// Unwrap returns the inner cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Bad is a value of a parameter that cannot be. The path is that of the cloud API, such
// as Containers.0.Image.
func Bad(path, format string, args ...any) *Error {
	return Errorf(InvalidParameterValue, "%s: %s", path, fmt.Sprintf(format, args...))
}

// Refused is a parameter that cannot be honoured here.
func Refused(path, format string, args ...any) *Error {
	return Errorf(UnsupportedOperation, "%s: %s", path, fmt.Sprintf(format, args...))
}

// codes maps the codes of errors to the cloud API's, once.
var codes = map[api.Code]Code{
	api.Invalid:         InvalidParameterValue,
	api.Unauthenticated: SignatureFailure,
	api.Forbidden:       UnauthorizedOperation,
	api.NotFound:        ResourceNotFound,
	api.Conflict:        ResourceInUse,
	api.Exhausted:       ResourceInsufficient,
	api.Unavailable:     ServiceUnavailable,
	api.Internal:        InternalError,
}

// From makes any error one that may leave. Paths of fields are translated by the
// product's names; what carries no code is a fault of ours, whose cause stays in the log.
func From(err error, names Names) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	e, ok := errors.AsType[*api.Error](err)
	if !ok {
		return &Error{Code: InternalError, Message: "something went wrong inside cis; the log of cisd has this request's ID", Err: err}
	}
	code := codes[e.Code]
	switch {
	case code == InvalidParameterValue && e.Field == "":
		code = InvalidParameter
	case code == ResourceInsufficient && strings.HasPrefix(e.Field, "quota."):
		code = LimitExceeded
	}
	return &Error{Code: code, Message: message(e, names), Err: e.Err}
}

// message is an error in words, all its mistakes included.
func message(e *api.Error, names Names) string {
	if len(e.Errors) > 0 {
		parts := make([]string, len(e.Errors))
		for i, one := range e.Errors {
			parts[i] = message(one, names)
		}
		return strings.Join(parts, "; ")
	}
	s := e.Message
	if e.Field != "" {
		s = names.path(e.Field) + ": " + s
	}
	// The commands of cis are not what a client of this API has.
	if e.Next != "" && !strings.Contains(e.Next, "cis ") {
		s += " (" + e.Next + ")"
	}
	return s
}

// Names translates the paths of api's fields to a product's.
type Names struct {
	// Whole are paths without positions.
	Whole map[string]string
	// Parts are pairs of old and new, replaced anywhere else.
	Parts []string
}

func (n Names) path(field string) string {
	if whole, ok := n.Whole[field]; ok {
		return whole
	}
	return strings.NewReplacer(append(n.Parts, "[", ".", "]", "")...).Replace(field)
}
