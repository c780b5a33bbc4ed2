package plane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// A running control plane is found by the socket in its data directory, which answers
//
//	GET  /status   what is known
//	GET  /ready    the same, once it is ready
//	POST /stop     after it has begun to stop

// ErrNotRunning is that nothing runs in a data directory.
var ErrNotRunning = errors.New("no control plane runs")

// serveControl listens; what a crash left of the socket is removed, which the lock allows.
func (p *Plane) serveControl() (closeAll func(), err error) {
	path := p.path(controlSocket)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	server := &http.Server{Handler: p.control(), ReadHeaderTimeout: 5 * time.Second}
	go server.Serve(l)
	return func() { server.Close() }, nil
}

func (p *Plane) control() http.Handler {
	mux := http.NewServeMux()
	status := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		// The caller may be gone; that is its own matter.
		_ = json.NewEncoder(w).Encode(p.Status())
	}
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { status(w) })
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-p.ready:
			status(w)
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("POST /stop", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
		p.stop()
	})
	return mux
}

// ask does a request to the control plane of a data directory; it is ErrNotRunning if
// nobody answers.
func ask(ctx context.Context, dataDir, method, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://cis-kube"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := unixClient(filepath.Join(dataDir, controlSocket)).Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w in %s", ErrNotRunning, dataDir)
	}
	return resp, nil
}

// AskStatus is the status of the control plane in a data directory, or ErrNotRunning.
func AskStatus(ctx context.Context, dataDir string) (*Status, error) {
	return askStatus(ctx, dataDir, "/status")
}

// AwaitReady is its status when it has become ready; ErrNotRunning if it does not run
// or ends before.
func AwaitReady(ctx context.Context, dataDir string) (*Status, error) {
	return askStatus(ctx, dataDir, "/ready")
}

func askStatus(ctx context.Context, dataDir, path string) (*Status, error) {
	resp, err := ask(ctx, dataDir, http.MethodGet, path)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var s Status
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		return nil, fmt.Errorf("status of %s: %w", dataDir, err)
	}
	return &s, nil
}

// Down stops the control plane in a data directory and returns when all its programs are
// gone, also those that a crash is still ending, and nothing of it is where pods are. It is ErrNotRunning if there was nothing
// to stop.
func Down(ctx context.Context, dataDir string) error {
	resp, err := ask(ctx, dataDir, http.MethodPost, "/stop")
	ran := err == nil
	if ran {
		resp.Body.Close()
	} else if !errors.Is(err, ErrNotRunning) {
		return err
	}
	if _, statErr := os.Stat(filepath.Join(dataDir, lockFile)); statErr != nil {
		return err
	}
	held, lockErr := lock(ctx, filepath.Join(dataDir, lockFile))
	if lockErr != nil {
		return fmt.Errorf("%s: %w, and does not end in time", dataDir, lockErr)
	}
	defer held.Close()
	return errors.Join(err, cleanServices(dataDir))
}
