package cloudapi

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"cis/api"
	"cis/internal/account"
	"cis/internal/cloudapi/cis"
	"cis/internal/cloudapi/cloud"
	"cis/internal/cloudapi/eksci"
	"cis/internal/cloudapi/vpc"
)

// Engine is what the products need of the engine.
type Engine interface {
	cis.Engine
	vpc.Engine
	eksci.Engine
}

// Keys finds the keys that requests are signed with.
type Keys interface {
	// Key returns what a SecretId stands for. Unknown, disabled and expired ones are
	// *api.Error of the code NotFound or Unauthenticated.
	Key(ctx context.Context, secretID string) (Key, error)
}

// Key proves who signs.
type Key struct {
	// Secret is the SecretKey.
	Secret string
	Caller account.Caller
}

// Record is what is told of one action, for the audit log.
type Record struct {
	Caller account.Caller
	// Action is PRODUCT:ACTION, such as cis:CreateContainerInstance.
	Action string
	// Changes: it is one that changes something.
	Changes bool
	// Object is what it was about: an ID or a name, as in the request; may be empty.
	Object string
	// Code and Message of the error; empty for success.
	Code    cloud.Code
	Message string
	// Remote is the address of the client.
	Remote    string
	RequestID string
}

// Config is what a Server is made of.
type Config struct {
	Engine Engine
	Keys   Keys
	Place  cloud.Place
	// Defaults are those of instances.
	Defaults api.Defaults
	// Allow, when set, may refuse an action, PRODUCT:ACTION, before it is looked at: an
	// *api.Error of the code Exhausted says that there are too many.
	Allow func(ctx context.Context, caller account.Caller, action string) error
	// Audit, when set, is told of every action of a caller that proved to be one.
	Audit func(ctx context.Context, record Record)
	Log   *slog.Logger
	// Now is the time; default time.Now.
	Now func() time.Time
}

// Server answers requests of the cloud API.
type Server struct {
	Config
	products []cloud.Product
	seen     replays
}

// New makes a server.
func New(c Config) *Server {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Server{Config: c, products: Products(c.Engine, c.Place, c.Defaults)}
}

// Products are all of them, with their actions.
func Products(e Engine, place cloud.Place, defaults api.Defaults) []cloud.Product {
	return []cloud.Product{cis.New(e, place, defaults), vpc.New(e, place), eksci.New(e, place, defaults)}
}

// ServeHTTP answers one request; its errors have the status 200, too, as clients expect.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := newRequestID()
	response, err := s.serve(r, id)
	if err != nil && err.Err != nil && r.Context().Err() == nil {
		s.Log.Error("an action of the cloud API failed", "request", id, "error", err.Err)
	}
	reply(w, id, response, err)
}

// serve carries a request out, and tells the audit log of it.
func (s *Server) serve(r *http.Request, id string) (any, *cloud.Error) {
	c, err := s.authenticate(r)
	if err != nil {
		return nil, cloud.From(err, cloud.Names{})
	}
	record := Record{Caller: c.caller, Remote: host(r.RemoteAddr), RequestID: id}
	response, err := s.act(r.Context(), c, &record)
	var told *cloud.Error
	if err != nil {
		told = c.product.Tell(err)
		record.Code, record.Message = told.Code, told.Message
	}
	if s.Audit != nil && record.Action != "" {
		s.Audit(r.Context(), record)
	}
	return response, told
}

// act does what a proven caller asks for, if the caller may, and fills in the record.
func (s *Server) act(ctx context.Context, c *call, record *Record) (any, error) {
	action, err := s.find(c)
	if err != nil {
		return nil, err
	}
	name := c.product.Name + ":" + c.action
	record.Action, record.Changes = name, action.Changes()
	if !c.caller.Role.Allows(action.Role) {
		return nil, cloud.Errorf(cloud.UnauthorizedOperation, "%s needs the role %s, and this key's user is %s", c.action, action.Role, c.caller.Role)
	}
	ctx = account.With(ctx, c.caller)
	if s.Allow != nil {
		if err := s.Allow(ctx, c.caller, name); err != nil {
			return nil, tooMany(err)
		}
	}
	params, err := c.params()
	if err != nil {
		return nil, err
	}
	request := action.New()
	if err := decode(params, request); err != nil {
		return nil, err
	}
	record.Object = action.Object(request)
	if action.Changes() {
		// After what may be refused and tried again with the same signature.
		if err := s.seen.note(c.secretID, name, c.signature, s.Now()); err != nil {
			return nil, err
		}
	}
	response, err := action.Do(ctx, request)
	if action.Changes() && refused(err) {
		s.seen.forget(c.secretID, name, c.signature)
	}
	return response, err
}

// refused tells whether an action has changed nothing for certain.
func refused(err error) bool {
	if err == nil {
		return false
	}
	code := cloud.From(err, cloud.Names{}).Code
	return code != cloud.InternalError && code != cloud.ServiceUnavailable
}

// tooMany tells of a limit in the way that makes clients try again later.
func tooMany(err error) error {
	if e, ok := errors.AsType[*api.Error](err); ok && e.Code == api.Exhausted {
		return cloud.Errorf(cloud.RequestLimitExceeded, "%s", e.Message)
	}
	return err
}

// find is the action that a call names.
func (s *Server) find(c *call) (cloud.Action, error) {
	if c.region != "" && c.region != s.Place.Region {
		return cloud.Action{}, cloud.Errorf(cloud.UnsupportedRegion, "the only region here is %s, not %q", s.Place.Region, clip(c.region))
	}
	var names []string
	for _, a := range c.product.Actions {
		if a.Name == c.action {
			return a, nil
		}
		names = append(names, a.Name)
	}
	hint := ""
	if near := api.Nearest(c.action, names); near != "" {
		hint = "; did you mean " + near + "?"
	}
	return cloud.Action{}, cloud.Errorf(cloud.InvalidAction, "%s %s has no action %q here%s", c.product.Name, c.product.Version, clip(c.action), hint)
}

// host is an address without its port.
func host(address string) string {
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return name
}
