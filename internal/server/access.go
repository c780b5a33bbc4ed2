package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"

	"golang.org/x/sys/unix"

	"cis/api"
	"cis/internal/account"
)

// accountHeader names the account that a request acts for, or "*": all of them. Only who
// runs the service may name another than his own.
const accountHeader = "Cis-Account"

// Authenticate tells who makes a request, or why that is not proven.
type Authenticate func(*http.Request) (account.Caller, error)

// Bearer proves a caller by a bearer token, which find knows.
func Bearer(find func(context.Context, string) (account.Caller, error)) Authenticate {
	return func(r *http.Request) (account.Caller, error) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") || token == "" {
			return account.Caller{}, api.Errorf(api.Unauthenticated, "the request has no bearer token").
				WithNext("send the header Authorization: Bearer TOKEN")
		}
		return find(r.Context(), strings.TrimSpace(token))
	}
}

// trusted is who has the socket: who runs the service.
func trusted(*http.Request) (account.Caller, error) {
	return account.Caller{Account: account.Default, User: "root", Role: api.RoleAdmin, System: true}, nil
}

// caller of a request: its own account beside the one that it acts for.
type caller struct {
	account.Caller
	own string
}

type callerKey struct{}

// withCaller is the context of what a caller does.
func withCaller(ctx context.Context, c caller) context.Context {
	return context.WithValue(account.With(ctx, c.Caller), callerKey{}, c)
}

func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// enter finds out who makes a request and for which account.
func (s *Server) enter(r *http.Request, auth Authenticate) (caller, error) {
	if auth == nil {
		auth = trusted
	}
	c, err := auth(r)
	if err != nil {
		return caller{}, err
	}
	in := caller{c, c.Account}
	switch name := r.Header.Get(accountHeader); {
	case name == "" || name == c.Account:
		return in, nil
	case !c.System:
		return in, api.Errorf(api.Forbidden, "the key is account %s's, and may not act for %s", c.Account, name)
	case name == "*":
		in.Account = ""
		return in, nil
	default:
		_, err := s.Engine.Account(account.With(r.Context(), c), name)
		in.Account = name
		return in, err
	}
}

// needs is the role that a route asks of its callers.
func (r *Route) needs() api.Role {
	switch {
	case r.Role != "":
		return r.Role
	case r.Method == http.MethodGet:
		return api.RoleViewer
	default:
		return api.RoleOperator
	}
}

// permit refuses what a caller may not do, or not so often.
func (s *Server) permit(route *Route, c caller) error {
	switch {
	case route.System && !c.System:
		return api.Errorf(api.Forbidden, "only who runs this service may do that")
	case !c.Role.Allows(route.needs()):
		return api.Errorf(api.Forbidden, "user %s is %s, and this needs %s", c.User, c.Role, route.needs()).
			WithNext("ask an admin of account %s", c.own)
	case !s.Limiter.Allow(c.Caller, route.Name):
		e := api.Errorf(api.Exhausted, "key %s does this too often", c.Key).WithNext("wait a second")
		return &statusError{http.StatusTooManyRequests, e}
	}
	return nil
}

type peerKey struct{}

// withPeer remembers, for the audit, which user has the other end of a unix socket.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	conn, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return ctx
	}
	from := "socket"
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			from = fmt.Sprintf("socket uid %d", cred.Uid)
		}
	})
	return context.WithValue(ctx, peerKey{}, from)
}

// origin is where a request came from.
func origin(r *http.Request) string {
	if from, ok := r.Context().Value(peerKey{}).(string); ok {
		return from
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return r.RemoteAddr
}
