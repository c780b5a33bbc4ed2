package cloudapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// shutdownTime is how long a stopping server waits for actions under way.
const shutdownTime = 15 * time.Second

// Serve answers on a listener until ctx ends, over https with a TLS configuration. Without
// one the listener must be on a loopback address. It closes the listener.
func (s *Server) Serve(ctx context.Context, l net.Listener, secure *tls.Config) error {
	if secure == nil && !loopback(l.Addr()) {
		return errors.Join(fmt.Errorf("serve the cloud API at %s: without TLS it is for loopback addresses only", l.Addr()), l.Close())
	}
	if secure != nil {
		l = tls.NewListener(l, secure)
	}
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    2 * maxQuery,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve the cloud API at %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	if err := server.Shutdown(stop); err != nil {
		return errors.Join(err, server.Close())
	}
	return nil
}

func loopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
