package api

import (
	"errors"
	"fmt"
	"strings"
)

// Code is the kind of an error. The list is closed: each front door (HTTP, the
// command line, Kubernetes) maps it once.
type Code string

// The codes, from the caller's fault to ours.
const (
	// Invalid: the request can never succeed as it is; Field says where.
	Invalid Code = "invalid"
	// Unauthenticated: the request does not prove who makes it.
	Unauthenticated Code = "unauthenticated"
	// Forbidden: the caller is known and may not do this.
	Forbidden Code = "forbidden"
	// NotFound: the named thing does not exist.
	NotFound Code = "not_found"
	// Conflict: the thing is in a state that rules the request out.
	Conflict Code = "conflict"
	// Exhausted: no capacity, space or quota is left for it.
	Exhausted Code = "exhausted"
	// Unavailable: something needed does not answer now; trying again may help.
	Unavailable Code = "unavailable"
	// Internal: a fault of cis itself.
	Internal Code = "internal"
)

// Error is the one error that leaves cis: a code, the cause in words, the field
// it is about, and what to do next.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	// Field is the path of the offending field, such as containers[0].image.
	Field string `json:"field,omitempty"`
	// Next is the step that helps, as a sentence or a command.
	Next string `json:"next,omitempty"`
	// Errors lists every mistake of a request that has several; the error that
	// holds them repeats the first.
	Errors []*Error `json:"errors,omitempty"`
	// Err is the inner cause; it is logged and never shown.
	Err error `json:"-"`
}

// Error implements error.
func (e *Error) Error() string {
	if len(e.Errors) > 0 {
		parts := make([]string, len(e.Errors))
		for i, one := range e.Errors {
			parts[i] = one.Error()
		}
		return strings.Join(parts, "; ")
	}
	s := e.Message
	if e.Field != "" {
		s = e.Field + ": " + s
	}
	if e.Next != "" {
		s += " (" + e.Next + ")"
	}
	return s
}

// Unwrap returns the inner cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error of the given code. A %w operand becomes its inner cause.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Err: errors.Unwrap(err)}
}

// FieldError makes an Invalid error about one field.
func FieldError(field, format string, args ...any) *Error {
	e := Errorf(Invalid, format, args...)
	e.Field = field
	return e
}

// Join makes one error of the mistakes of a request: nil for none, the mistake
// itself for one.
func Join(mistakes []*Error) error {
	switch len(mistakes) {
	case 0:
		return nil
	case 1:
		return mistakes[0]
	}
	joined := *mistakes[0]
	joined.Errors = mistakes
	return &joined
}

// WithNext adds the next step and returns e.
func (e *Error) WithNext(format string, args ...any) *Error {
	e.Next = fmt.Sprintf(format, args...)
	return e
}

// CodeOf returns the code of err: Internal for an error that carries none, and
// the empty code for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}
