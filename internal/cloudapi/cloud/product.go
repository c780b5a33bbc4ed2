package cloud

import (
	"context"
	"reflect"

	"cis/api"
)

// Product is one product of the cloud: a name, a version, actions.
type Product struct {
	Name, Version string
	Actions       []Action
	// Names translates paths in errors.
	Names Names
	// Invalid, when set, is the code of a value that cannot be, where the product
	// documents another than InvalidParameterValue.
	Invalid Code
}

// Action is one thing that a product does.
type Action struct {
	Name string
	// Role that a caller needs.
	Role api.Role
	// Request and Response are zero values of what it takes and gives: structs whose
	// fields bear the names of the parameters, with these tags:
	//
	//	cloud:"required"  the parameter must be there
	//	refuse:"WHY"      a value is refused, but for zero ones and those of but
	//	but:"A|B"         values that ask for nothing else than what is done anyway
	//	doc:"HOW"         what is made of the parameter, for docs/cloud-api.md
	Request, Response any
	// Do carries it out; req points to a decoded Request.
	Do func(ctx context.Context, req any) (any, error)
	// Object is what a request is about, for the audit log.
	Object func(req any) string
}

// Changes tells whether the action changes anything.
func (a Action) Changes() bool { return a.Role != api.RoleViewer }

// New makes an empty request.
func (a Action) New() any { return reflect.New(reflect.TypeOf(a.Request)).Interface() }

// Tell makes any error one that the product's clients are told.
func (p Product) Tell(err error) *Error {
	e := From(err, p.Names)
	if e.Code == InvalidParameterValue && p.Invalid != "" {
		told := *e
		told.Code = p.Invalid
		return &told
	}
	return e
}

// Reads makes an action that shows something.
func Reads[Req, Resp any](name string, object func(*Req) string, do func(context.Context, *Req) (*Resp, error)) Action {
	return action(name, api.RoleViewer, object, do)
}

// Changes makes an action that changes something.
func Changes[Req, Resp any](name string, object func(*Req) string, do func(context.Context, *Req) (*Resp, error)) Action {
	return action(name, api.RoleOperator, object, do)
}

func action[Req, Resp any](name string, role api.Role, object func(*Req) string, do func(context.Context, *Req) (*Resp, error)) Action {
	return Action{
		Name: name, Role: role, Request: *new(Req), Response: *new(Resp),
		Do: func(ctx context.Context, req any) (any, error) { return do(ctx, req.(*Req)) },
		Object: func(req any) string {
			if object == nil {
				return ""
			}
			return object(req.(*Req))
		},
	}
}

// Nothing is the response of an action that has none.
type Nothing struct{}

// Place is the region and the zone that a server is.
type Place struct{ Region, Zone string }

// CheckZone refuses another zone.
func (p Place) CheckZone(path, zone string) error {
	if zone != p.Zone {
		return Bad(path, "the only zone here is %s, not %q", p.Zone, clip(zone))
	}
	return nil
}

// clip keeps messages short whatever the input.
func clip(s string) string {
	if len(s) <= 64 {
		return s
	}
	return s[:61] + "..."
}
