package server

import (
	"net/http"

	"cis/api"
)

func (s *Server) execInstance(w http.ResponseWriter, r *request) error {
	req := api.ExecRequest{
		Container:  arg[string](r.query, "container"),
		Command:    args[string](r.query, "command"),
		Env:        args[api.EnvVar](r.query, "env"),
		WorkingDir: arg[string](r.query, "workingDir"),
		User:       arg[string](r.query, "user"),
		TTY:        arg[bool](r.query, "tty"),
		Stdin:      arg[bool](r.query, "stdin"),
	}
	if err := req.Validate(); err != nil {
		return err
	}
	return s.serveSession(w, r, func(ss *session) (*int, error) {
		return exitCode(s.Engine.Exec(ss.ctx, r.ref(), req, ss.streams(req.Stdin, req.TTY)))
	})
}

func (s *Server) attachInstance(w http.ResponseWriter, r *request) error {
	container, replay := arg[string](r.query, "container"), arg[bool](r.query, "replay")
	stdin, tty := arg[bool](r.query, "stdin"), arg[bool](r.query, "tty")
	return s.serveSession(w, r, func(ss *session) (*int, error) {
		return exitCode(s.Engine.Attach(ss.ctx, r.ref(), container, replay, ss.streams(stdin, tty)))
	})
}

func exitCode(code int, err error) (*int, error) {
	if err != nil {
		return nil, err
	}
	return &code, nil
}

// streams for a program; with a terminal all its output is standard output.
func (ss *session) streams(stdin, tty bool) Streams {
	streams := Streams{
		Stdout:  channel{ss, api.ChannelStdout},
		Started: func() { _ = ss.sendStatus(api.StreamStatus{Started: true}) },
	}
	if stdin {
		streams.Stdin = ss.stdin
	} else {
		_ = ss.stdin.Close()
	}
	if tty {
		streams.Resize = ss.resize
	} else {
		streams.Stderr = channel{ss, api.ChannelStderr}
	}
	return streams
}
