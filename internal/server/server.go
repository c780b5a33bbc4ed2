package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"cis/api"
	"cis/internal/account"
)

// Config is what a Server is made of.
type Config struct {
	Engine Engine
	// Log gets the requests (debug), and the inner causes of faults (error).
	Log *slog.Logger
	// Version of cisd.
	Version string
	// Limiter bounds how often a key does what.
	Limiter *account.Limiter
	// Defaults that specs are filled in and checked with.
	Defaults api.Defaults
}

// Server answers the HTTP API.
type Server struct {
	Config
	mux     *http.ServeMux
	metrics *metrics
	// life ends when the server begins to stop; streams end with it.
	life context.Context
	end  context.CancelFunc
	// requests under way, hijacked connections included.
	requests sync.WaitGroup
}

// New makes a Server. Serve runs it; Handler is for those who run it themselves.
func New(c Config) *Server {
	if c.Limiter == nil {
		c.Limiter = account.NewLimiter(0)
	}
	s := &Server{Config: c, mux: http.NewServeMux(), metrics: newMetrics()}
	s.life, s.end = context.WithCancel(context.Background())
	for _, route := range Routes() {
		s.mux.HandleFunc(route.Method+" "+route.Path, func(w http.ResponseWriter, r *http.Request) {
			s.serveRoute(&route, w, r)
		})
	}
	return s
}

// Handler answers requests; auth checks each of them, but for /healthz. A nil
// auth trusts every caller, as is right for a socket that its mode protects.
func (s *Server) Handler(auth Authenticate) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		defer s.requests.Done()
		w := &replyWriter{ResponseWriter: rw}
		start := time.Now()
		r = r.WithContext(withRequestID(r.Context(), requestIDOf(r)))
		w.Header().Set("X-Request-Id", requestID(r.Context()))
		route := "none"
		defer func() {
			abort := s.recovered(w, r, recover())
			s.metrics.observe(route, w.code(), time.Since(start))
			s.Log.DebugContext(r.Context(), "request", "id", requestID(r.Context()), "method", r.Method,
				"path", r.URL.Path, "status", w.code(), "bytes", w.bytes, "took", time.Since(start))
			if abort {
				panic(http.ErrAbortHandler) // net/http breaks the connection off
			}
		}()
		if r.URL.Path != HealthPath {
			c, err := s.enter(r, auth)
			if err != nil {
				s.fail(w, r, err)
				return
			}
			r = r.WithContext(withCaller(r.Context(), c))
		}
		handler, pattern := s.mux.Handler(r)
		if pattern == "" {
			s.noRoute(handler, w, r)
			return
		}
		route = pattern
		s.mux.ServeHTTP(w, r)
	})
}

// serveRoute does one operation.
func (s *Server) serveRoute(route *Route, w http.ResponseWriter, r *http.Request) {
	if route.Stream {
		ctx, cancel := s.streamContext(r.Context())
		defer cancel()
		r = r.WithContext(ctx)
	}
	if err := s.permitted(route, w, r); err != nil {
		s.fail(w, r, err)
	}
}

// permitted does an operation that the caller may do, and puts it on record.
func (s *Server) permitted(route *Route, w http.ResponseWriter, r *http.Request) error {
	if route.Path == HealthPath {
		return route.handle(s, w, &request{Request: r})
	}
	c := callerOf(r.Context())
	err := s.permit(route, c)
	var query values
	if err == nil {
		query, err = parseQuery(r.URL.RawQuery, route.Query)
	}
	if err != nil {
		s.note(route, w, r, c, "", err)
		return err
	}
	if route.Stream {
		s.note(route, w, r, c, begun, nil)
	}
	err = route.handle(s, w, &request{Request: r, query: query})
	if !route.Stream || err != nil {
		s.note(route, w, r, c, "ok", err)
	}
	return err
}

// streamContext also ends, with errShutdown, when the server begins to stop.
func (s *Server) streamContext(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.life, func() { cancel(errShutdown) })
	return ctx, func() { stop(); cancel(nil) }
}

// fail ends a request with an error. A reply that has begun cannot be taken
// back: its connection is broken off, so that nobody takes it for whole.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := s.logged(r.Context(), err)
	reply, ok := w.(*replyWriter)
	switch {
	case !ok || reply.status == 0 && (r.Context().Err() == nil || errors.Is(e, errShutdown)):
		writeProblem(w, r.Context(), err)
	case reply.status == 0:
		reply.status = statusClientGone
	default:
		s.Log.DebugContext(r.Context(), "reply broken off", "id", requestID(r.Context()), "error", err)
		// Without a header the client would take it for a lost request, and repeat it.
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// logged makes an error fit to leave, and keeps the cause of a fault in the log.
func (s *Server) logged(ctx context.Context, err error) *api.Error {
	e := toAPI(ctx, err)
	if e.Code == api.Internal && ctx.Err() == nil {
		s.Log.ErrorContext(ctx, "request failed", "id", requestID(ctx), "error", e.Message, "cause", errors.Unwrap(e))
	}
	return e
}

// noRoute answers what the mux has no route for: 404 or 405, as it decides.
func (s *Server) noRoute(decide http.Handler, w http.ResponseWriter, r *http.Request) {
	probe := &replyWriter{ResponseWriter: discard{http.Header{}}}
	decide.ServeHTTP(probe, r)
	if allow := probe.Header().Get("Allow"); probe.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", allow)
		e := api.Errorf(api.Invalid, "%s is not possible here", r.Method).WithNext("use %s", allow)
		s.fail(w, r, &statusError{http.StatusMethodNotAllowed, e})
		return
	}
	s.fail(w, r, api.Errorf(api.NotFound, "there is nothing at %s", r.URL.Path).WithNext("see /openapi.json for what there is"))
}

// recovered answers for a handler that panicked, and tells whether it is too late
// for that: then the connection must break off.
func (s *Server) recovered(w *replyWriter, r *http.Request, cause any) (abort bool) {
	if cause == nil || cause == http.ErrAbortHandler {
		return cause != nil
	}
	s.Log.ErrorContext(r.Context(), "panic", "id", requestID(r.Context()), "cause", cause, "stack", string(debug.Stack()))
	if w.status == 0 {
		writeProblem(w, r.Context(), errors.New("panic"))
		return false
	}
	return true
}

func (s *Server) health(w http.ResponseWriter, _ *request) error {
	if s.life.Err() != nil {
		return errShutdown
	}
	w.Header().Set("Content-Type", typeText)
	_, err := w.Write([]byte("ok\n"))
	return err
}
