package server

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync"

	"cis/api"
)

// replyWriter remembers what was answered.
type replyWriter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *replyWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *replyWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *replyWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack hands the connection over, for WebSockets.
func (w *replyWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.status = http.StatusSwitchingProtocols
	}
	return conn, buffered, err
}

func (w *replyWriter) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}

// discard is a reply that nobody reads.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

// writeJSON ends a request with a value.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", typeJSON)
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // a client that has gone is no fault of ours
	return nil
}

// answer writes what an operation gave, or hands on its error.
func answer[T any](w http.ResponseWriter, v T, err error) error {
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, v)
}

// answerNothing ends a request that has no result.
func answerNothing(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// answerList writes a list that has no pages.
func answerList[T any](w http.ResponseWriter, items []T, err error) error {
	if items == nil {
		items = []T{}
	}
	return answer(w, api.List[T]{Items: items}, err)
}

// lineWriter sends JSON values, one a line, each at once. It may be used by
// several goroutines.
type lineWriter struct {
	mu    sync.Mutex
	w     http.ResponseWriter
	begun bool
}

// begin sends the header, so that the client knows that it is heard.
func (l *lineWriter) begin() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.start()
	return http.NewResponseController(l.w).Flush()
}

func (l *lineWriter) start() {
	if !l.begun {
		l.begun = true
		l.w.Header().Set("Content-Type", typeLines)
		l.w.Header().Set("Cache-Control", "no-store")
		l.w.WriteHeader(http.StatusOK)
	}
}

func (l *lineWriter) send(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.start()
	if _, err := l.w.Write(append(data, '\n')); err != nil {
		return err
	}
	return http.NewResponseController(l.w).Flush()
}

type requestIDKey struct{}

func withRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// requestIDOf takes the caller's ID where it is harmless, else makes one up.
func requestIDOf(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	const harmless = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
	if id != "" && len(id) <= 64 && strings.Trim(id, harmless) == "" {
		return id
	}
	return "r-" + strings.ToLower(rand.Text()[:16])
}
