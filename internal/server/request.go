package server

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"cis/api"
)

// request is one call of a route, with its query read.
type request struct {
	*http.Request
	query values
}

func (r *request) ref() string { return r.PathValue("ref") }

// decode reads the JSON (or YAML) body into v, a pointer.
func (r *request) decode(w http.ResponseWriter, v any) error {
	body := http.MaxBytesReader(w, r.bodyOf(w), api.MaxRequest)
	data, err := io.ReadAll(body)
	if err != nil {
		return bodyError(err)
	}
	return api.Decode(data, v)
}

// bodyOf is the body of any length, which must not stall.
func (r *request) bodyOf(w http.ResponseWriter) io.ReadCloser {
	return &livelyBody{ReadCloser: r.Body, rc: http.NewResponseController(w)}
}

// bodyError explains why a body could not be read.
func bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		e := api.Errorf(api.Invalid, "the body is too large: at most %d bytes are allowed", tooLarge.Limit)
		return &statusError{http.StatusRequestEntityTooLarge, e}
	case errors.Is(err, os.ErrDeadlineExceeded):
		e := api.Errorf(api.Invalid, "no more of the body came for %s", bodyStall)
		return &statusError{http.StatusRequestTimeout, e}
	default:
		return api.Errorf(api.Invalid, "the body broke off: %w", err)
	}
}

// bodyStall is how long a body may make no progress.
const bodyStall = time.Minute

// livelyBody gives each read of a body a deadline of its own, so that a slow
// upload goes on and a dead one does not hold a connection for ever.
type livelyBody struct {
	io.ReadCloser
	rc *http.ResponseController
}

func (b *livelyBody) Read(p []byte) (int, error) {
	_ = b.rc.SetReadDeadline(time.Now().Add(bodyStall)) // not every transport has deadlines
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		// What the server reads after the body, it reads in its own time.
		_ = b.rc.SetReadDeadline(time.Time{})
	}
	return n, err
}
