package engine

import (
	"context"
	"io"

	"cis/api"
	"cis/internal/agent/agentpb"
)

// Exec runs a command in a running container and returns its exit code.
func (e *Engine) Exec(ctx context.Context, ref string, req api.ExecRequest, s api.Streams) (int, error) {
	if len(req.Command) == 0 {
		return 0, api.FieldError("command", "is missing")
	}
	l, err := e.findLive(ctx, ref)
	if err != nil {
		return 0, err
	}
	client, name, err := l.reach(ctx, req.Container)
	if err != nil {
		return 0, err
	}
	start := agentpb.ExecStart{Container: name, Args: req.Command, Cwd: req.WorkingDir, TTY: req.TTY, Stdin: req.Stdin}
	for _, v := range req.Env {
		start.Env = append(start.Env, v.Name+"="+v.Value)
	}
	if req.User != "" {
		rec, _ := l.snapshot()
		lease, err := e.cfg.Images.Lease(rec.Run.Images[name])
		if err != nil {
			return 0, err
		}
		u, err := lease.Image.User(req.User)
		lease.Release()
		if err != nil {
			return 0, err
		}
		start.User = &agentpb.User{UID: u.UID, GID: u.GID, Groups: u.AdditionalGIDs}
	}
	return client.Exec(ctx, start, s)
}

// PortForward joins conn with a port inside, until either side ends.
func (e *Engine) PortForward(ctx context.Context, ref string, port uint16, conn io.ReadWriteCloser) error {
	l, err := e.findLive(ctx, ref)
	if err != nil {
		return err
	}
	client, _, err := l.reach(ctx, "")
	if err != nil {
		return err
	}
	return client.PortForward(ctx, port, conn)
}

// CopyOut writes a tar of a path in a container to w.
func (e *Engine) CopyOut(ctx context.Context, ref, container, path string, w io.Writer) error {
	l, err := e.findLive(ctx, ref)
	if err != nil {
		return err
	}
	client, name, err := l.reach(ctx, container)
	if err != nil {
		return err
	}
	return client.CopyOut(ctx, name, path, w)
}

// CopyIn unpacks a tar below a path in a container.
func (e *Engine) CopyIn(ctx context.Context, ref, container, path string, r io.Reader) error {
	l, err := e.findLive(ctx, ref)
	if err != nil {
		return err
	}
	client, name, err := l.reach(ctx, container)
	if err != nil {
		return err
	}
	return client.CopyIn(ctx, name, path, r)
}
