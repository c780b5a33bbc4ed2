package server

import (
	"errors"
	"net/http"
	"syscall"

	"cis/api"
)

func (s *Server) createInstance(w http.ResponseWriter, r *request) error {
	var req api.CreateInstance
	if err := r.decode(w, &req); err != nil {
		return err
	}
	req.Default(s.Defaults)
	if err := req.Validate(s.Defaults); err != nil {
		return err
	}
	inst, created, err := s.Engine.Create(r.Context(), req)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	w.Header().Set("Location", "/v1/instances/"+inst.ID)
	return writeJSON(w, status, inst)
}

func (s *Server) listInstances(w http.ResponseWriter, r *request) error {
	opts := ListOptions{
		Selector: arg[string](r.query, "selector"),
		Limit:    int(arg[int64](r.query, "limit")),
		Continue: arg[string](r.query, "continue"),
	}
	for _, phase := range args[string](r.query, "phase") {
		opts.Phases = append(opts.Phases, api.Phase(phase))
	}
	if arg[bool](r.query, "watch") {
		return s.watchInstances(w, r, opts)
	}
	list, err := s.Engine.List(r.Context(), opts)
	if list.Items == nil {
		list.Items = []api.Instance{}
	}
	return answer(w, list, err)
}

func (s *Server) watchInstances(w http.ResponseWriter, r *request, opts ListOptions) error {
	lines := &lineWriter{w: w}
	if err := lines.begin(); err != nil {
		return err
	}
	err := s.Engine.Watch(r.Context(), opts, arg[int64](r.query, "revision"), func(e api.WatchEvent[api.Instance]) error {
		return lines.send(e)
	})
	return endWatch[api.Instance](s, lines, r, err)
}

// endWatch tells the client why a watch ends.
func endWatch[T any](s *Server, lines *lineWriter, r *request, err error) error {
	if err == nil {
		err = errors.New("the watch ended by itself")
	}
	return lines.send(api.WatchEvent[T]{Type: api.WatchError, Error: s.logged(r.Context(), err)})
}

func (s *Server) getInstance(w http.ResponseWriter, r *request) error {
	inst, err := s.Engine.Get(r.Context(), r.ref())
	return answer(w, inst, err)
}

func (s *Server) removeInstance(w http.ResponseWriter, r *request) error {
	return answerNothing(w, s.Engine.Remove(r.Context(), r.ref(), arg[bool](r.query, "force"), grace(r.query)))
}

func (s *Server) waitInstance(w http.ResponseWriter, r *request) error {
	inst, err := s.Engine.Wait(r.Context(), r.ref())
	return answer(w, inst, err)
}

func (s *Server) stopInstance(w http.ResponseWriter, r *request) error {
	inst, err := s.Engine.Stop(r.Context(), r.ref(), grace(r.query))
	return answer(w, inst, err)
}

func (s *Server) startInstance(w http.ResponseWriter, r *request) error {
	inst, err := s.Engine.Start(r.Context(), r.ref())
	return answer(w, inst, err)
}

func (s *Server) restartInstance(w http.ResponseWriter, r *request) error {
	inst, err := s.Engine.Restart(r.Context(), r.ref(), grace(r.query))
	return answer(w, inst, err)
}

func (s *Server) addContainer(w http.ResponseWriter, r *request) error {
	var c api.EphemeralContainer
	if err := r.decode(w, &c); err != nil {
		return err
	}
	inst, err := s.Engine.Get(r.Context(), r.ref())
	if err != nil {
		return err
	}
	c.Default()
	if err := c.Validate(inst.Spec, s.Defaults); err != nil {
		return err
	}
	if inst, err = s.Engine.AddContainer(r.Context(), inst.ID, c); err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, inst)
}

func (s *Server) resizeInstance(w http.ResponseWriter, r *request) error {
	var change api.InstanceResize
	if err := r.decode(w, &change); err != nil {
		return err
	}
	inst, err := s.Engine.Resize(r.Context(), r.ref(), change, s.Defaults)
	return answer(w, inst, err)
}

func (s *Server) setSecurityGroups(w http.ResponseWriter, r *request) error {
	return update(w, r, s.Engine.SetSecurityGroups)
}

func (s *Server) killInstance(w http.ResponseWriter, r *request) error {
	signal, ok := r.query["signal"].(syscall.Signal)
	if !ok {
		signal = syscall.SIGKILL
	}
	return answerNothing(w, s.Engine.Kill(r.Context(), r.ref(), arg[string](r.query, "container"), int(signal)))
}

func (s *Server) instanceConsole(w http.ResponseWriter, r *request) error {
	console, err := s.Engine.Console(r.Context(), r.ref())
	return answer(w, console, err)
}

func (s *Server) instanceStats(w http.ResponseWriter, r *request) error {
	stats, err := s.Engine.Stats(r.Context(), r.ref())
	return answer(w, stats, err)
}
