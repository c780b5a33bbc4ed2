package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/user"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Listener is one place to serve at.
type Listener struct {
	net.Listener
	// Auth checks each request. Only unix sockets may do without.
	Auth Authenticate
	// TLS, when set, makes it https.
	TLS *tls.Config
}

// SocketMode lets the owner and the group in.
const SocketMode = 0o660

// shutdownTime is how long a stopping server waits for requests under way.
const shutdownTime = 15 * time.Second

// Serve answers on all listeners until ctx ends, then stops in order: no new
// requests, streams closed, operations under way finished, at most 15 seconds.
// A Server serves once. It closes the listeners.
func (s *Server) Serve(ctx context.Context, listeners ...Listener) error {
	servers := make([]*http.Server, len(listeners))
	failed := make(chan error, len(listeners))
	for i, l := range listeners {
		if l.Auth == nil && l.Addr().Network() != "unix" {
			return fmt.Errorf("serve at %s: only a unix socket may do without authentication", l.Addr())
		}
		servers[i] = s.httpServer(l)
	}
	for i, l := range listeners {
		go func() { failed <- serveOne(servers[i], l) }()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	return errors.Join(err, s.shutdown(servers))
}

func (s *Server) httpServer(l Listener) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:     s.Handler(l.Auth),
		ConnContext: withPeer,
		TLSConfig:   l.TLS,
		Protocols:   &protocols,
		// Streams live as long as they like; only what comes before them is timed.
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    256 << 10, // exec's command travels in the URL
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
}

func serveOne(server *http.Server, l Listener) error {
	var err error
	if l.TLS != nil {
		err = server.ServeTLS(l.Listener, "", "")
	} else {
		err = server.Serve(l.Listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve at %s: %w", l.Addr(), err)
}

func (s *Server) shutdown(servers []*http.Server) error {
	s.end()
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	done := make(chan error, len(servers))
	for _, server := range servers {
		go func() {
			err := server.Shutdown(ctx)
			if err != nil {
				err = errors.Join(err, server.Close())
			}
			done <- err
		}()
	}
	var err error
	for range servers {
		err = errors.Join(err, <-done)
	}
	// net/http forgets the connections that became WebSockets; we do not.
	idle := make(chan struct{})
	go func() { s.requests.Wait(); close(idle) }()
	select {
	case <-idle:
	case <-ctx.Done():
		err = errors.Join(err, errors.New("shut down: requests under way were cut off"))
	}
	return err
}

// ListenUnix makes the socket, for root and the named group if it exists. A
// socket that nobody listens on any more is replaced.
func ListenUnix(path, group string) (net.Listener, error) {
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = conn.Close()
		return nil, fmt.Errorf("listen on %s: another server answers there", path)
	}
	if err := removeSocket(path); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	// Linux gives the socket's file the mode of the socket: nobody gets in early.
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var chmodErr error
		err := c.Control(func(fd uintptr) { chmodErr = unix.Fchmod(int(fd), 0o600) })
		return errors.Join(err, chmodErr)
	}}
	l, err := config.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := openSocket(path, group); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", path, err), l.Close())
	}
	return l, nil
}

func removeSocket(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return errors.New("a file that is no socket is in the way")
	}
	return os.Remove(path)
}

// openSocket hands the socket to the group and lets it in.
func openSocket(path, group string) error {
	if g, err := user.LookupGroup(group); group != "" && err == nil {
		gid, err := strconv.Atoi(g.Gid)
		if err == nil {
			err = os.Chown(path, -1, gid)
		}
		if err != nil {
			return err
		}
	}
	return os.Chmod(path, SocketMode)
}
