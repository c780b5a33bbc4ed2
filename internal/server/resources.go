package server

import (
	"net/http"
	"runtime"

	"cis/api"
	"cis/docs"
)

func (s *Server) listEvents(w http.ResponseWriter, r *request) error {
	opts := EventOptions{
		Instance: arg[string](r.query, "instance"),
		Since:    arg[int64](r.query, "since"),
		Limit:    int(arg[int64](r.query, "limit")),
	}
	if !arg[bool](r.query, "watch") {
		list, err := s.Engine.Events(r.Context(), opts)
		if list.Items == nil {
			list.Items = []api.Event{}
		}
		return answer(w, list, err)
	}
	lines := &lineWriter{w: w}
	if err := lines.begin(); err != nil {
		return err
	}
	err := s.Engine.WatchEvents(r.Context(), opts, func(e api.Event) error {
		line := api.WatchEvent[api.Event]{Type: api.WatchAdded, Object: e}
		if e.Count > 1 {
			line.Type = api.WatchModified
		}
		return lines.send(line)
	})
	return endWatch[api.Event](s, lines, r, err)
}

func (s *Server) listImages(w http.ResponseWriter, r *request) error {
	images, err := s.Engine.Images(r.Context())
	return answerList(w, images, err)
}

func (s *Server) pullImage(w http.ResponseWriter, r *request) error {
	var req api.ImagePull
	if err := r.decode(w, &req); err != nil {
		return err
	}
	req.Default()
	if err := req.Validate(); err != nil {
		return err
	}
	lines := &lineWriter{w: w}
	image, err := s.Engine.PullImage(r.Context(), req, lines.progress)
	return lines.end(s, r, image, err)
}

func (s *Server) importImage(w http.ResponseWriter, r *request) error {
	ref := arg[string](r.query, "ref")
	if ref != "" {
		if err := api.ValidateImageRef("ref", ref); err != nil {
			return err
		}
	}
	// Progress is told while the body still comes; without this, HTTP/1 would
	// swallow the rest of the body before the first line.
	_ = http.NewResponseController(w).EnableFullDuplex()
	lines := &lineWriter{w: w}
	body := &errorReader{r: r.bodyOf(w)}
	image, err := s.Engine.ImportImage(r.Context(), ref, body, lines.progress)
	return lines.end(s, r, image, body.explain(err))
}

// progress tells of a pull or import; a client that has gone is noticed elsewhere.
func (l *lineWriter) progress(p api.Progress) { _ = l.send(p) }

// end sends the last line. A failure before the first line has a status of its own.
func (l *lineWriter) end(s *Server, r *request, image api.Image, err error) error {
	if err == nil {
		return l.send(api.Progress{Status: "Done", Image: &image})
	}
	l.mu.Lock()
	begun := l.begun
	l.mu.Unlock()
	if !begun {
		return err
	}
	return l.send(api.Progress{Status: "Failed", Error: s.logged(r.Context(), err)})
}

func (s *Server) removeImage(w http.ResponseWriter, r *request) error {
	return answerNothing(w, s.Engine.RemoveImage(r.Context(), r.ref()))
}

func (s *Server) listSecrets(w http.ResponseWriter, r *request) error {
	secrets, err := s.Engine.Secrets(r.Context())
	return answerList(w, secrets, err)
}

func (s *Server) putSecret(w http.ResponseWriter, r *request) error {
	var secret api.Secret
	if err := r.decode(w, &secret); err != nil {
		return err
	}
	name := r.PathValue("name")
	if secret.Name != "" && secret.Name != name {
		return api.FieldError("name", "is %q in the body and %q in the path", secret.Name, name)
	}
	secret.Name = name
	secret.Default()
	if err := secret.Validate(); err != nil {
		return err
	}
	kept, err := s.Engine.PutSecret(r.Context(), secret)
	return answer(w, kept, err)
}

func (s *Server) removeSecret(w http.ResponseWriter, r *request) error {
	return answerNothing(w, s.Engine.RemoveSecret(r.Context(), r.PathValue("name")))
}

func (s *Server) info(w http.ResponseWriter, r *request) error {
	info, err := s.Engine.Info(r.Context())
	info.Version = s.Version
	return answer(w, info, err)
}

func (s *Server) version(w http.ResponseWriter, _ *request) error {
	return writeJSON(w, http.StatusOK, api.Version{Version: s.Version, API: "v1", Go: runtime.Version()})
}

func (s *Server) openapi(w http.ResponseWriter, _ *request) error {
	w.Header().Set("Content-Type", typeJSON)
	_, err := w.Write(docs.OpenAPI)
	return err
}
