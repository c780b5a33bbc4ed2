package server

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

// deadlineRecorder is a reply whose connection has deadlines.
type deadlineRecorder struct {
	*httptest.ResponseRecorder
	deadlines []time.Time
}

func (d *deadlineRecorder) SetReadDeadline(t time.Time) error {
	d.deadlines = append(d.deadlines, t)
	return nil
}

type stalledBody struct{ reads int }

func (b *stalledBody) Read(p []byte) (int, error) {
	if b.reads++; b.reads == 3 {
		return 0, fmt.Errorf("read: %w", os.ErrDeadlineExceeded)
	}
	return copy(p, "{"), nil
}

func TestStalledBody(t *testing.T) {
	w := &deadlineRecorder{ResponseRecorder: httptest.NewRecorder()}
	r := &request{Request: httptest.NewRequest("POST", "/", &stalledBody{})}
	err := r.decode(w, &struct{}{})
	e, ok := errors.AsType[*statusError](err)
	if !ok || e.status != http.StatusRequestTimeout {
		t.Fatalf("got %v", err)
	}
	// Each read moved the deadline on, and the end took it away.
	if n := len(w.deadlines); n != 4 || !w.deadlines[n-1].IsZero() {
		t.Fatalf("the deadlines were %v", w.deadlines)
	}
	for _, at := range w.deadlines[:3] {
		if left := time.Until(at); left > bodyStall || left < bodyStall-10*time.Second {
			t.Errorf("a read had %v", left)
		}
	}
}

func TestBodyEndsItsDeadline(t *testing.T) {
	w := &deadlineRecorder{ResponseRecorder: httptest.NewRecorder()}
	r := &request{Request: httptest.NewRequest("POST", "/", nil)}
	if _, err := io.ReadAll(r.bodyOf(w)); err != nil || !w.deadlines[len(w.deadlines)-1].IsZero() {
		t.Errorf("got %v, deadlines %v", err, w.deadlines)
	}
}
