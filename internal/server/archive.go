package server

import (
	"io"
	"net/http"
)

func (s *Server) copyOut(w http.ResponseWriter, r *request) error {
	w.Header().Set("Content-Type", typeTar)
	err := s.Engine.CopyOut(r.Context(), r.ref(), arg[string](r.query, "container"), arg[string](r.query, "path"), w)
	if err != nil {
		w.Header().Del("Content-Type")
	}
	return err
}

func (s *Server) copyIn(w http.ResponseWriter, r *request) error {
	body := &errorReader{r: r.bodyOf(w)}
	err := s.Engine.CopyIn(r.Context(), r.ref(), arg[string](r.query, "container"), arg[string](r.query, "path"), body)
	return answerNothing(w, body.explain(err))
}

// errorReader remembers why a body failed, which says more than what its
// consumer makes of that.
type errorReader struct {
	r   io.Reader
	err error
}

func (e *errorReader) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	if err != nil && err != io.EOF {
		e.err = err
	}
	return n, err
}

// explain gives the body's own error where the consumer failed for it.
func (e *errorReader) explain(err error) error {
	if err != nil && e.err != nil {
		return bodyError(e.err)
	}
	return err
}
