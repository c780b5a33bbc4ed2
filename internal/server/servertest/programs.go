package servertest

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"cis/api"
	"cis/internal/server"
)

// Print makes an instance's program write to stream 1 or 2.
func (e *Engine) Print(ref string, stream int, text string) error {
	var err error
	e.change(func() {
		var in *instance
		if in, err = e.find(ref); err == nil {
			in.output = append(in.output, server.LogEntry{Time: time.Now(), Stream: stream, Data: []byte(text)})
		}
	})
	return err
}

// Logs implements server.Engine. Previous logs fail after their first piece, as
// those of a damaged disk would.
func (e *Engine) Logs(ctx context.Context, ref string, opts api.LogOptions, fn func(server.LogEntry) error) error {
	next := 0
	for {
		var in *instance
		var missing error
		var batch []server.LogEntry
		err := e.await(ctx, func() bool {
			if in, missing = e.find(ref); missing != nil {
				return true
			}
			if opts.Tail >= 0 && next == 0 {
				next = max(0, len(in.output)-opts.Tail)
			}
			batch, next = in.output[min(next, len(in.output)):], len(in.output)
			return len(batch) > 0 || !opts.Follow || in.Status.Phase.Finished()
		})
		if err = firstError(missing, err); err != nil {
			return err
		}
		for _, entry := range batch {
			if entry.Time.Before(opts.Since) {
				continue
			}
			if err := fn(entry); err != nil {
				return err
			}
			if opts.Previous {
				return errors.New("read error")
			}
		}
		if len(batch) == 0 || !opts.Follow {
			return nil
		}
	}
}

// Exec runs echo (each argument on a line), env, cat, both (one line to each
// stream), exit N, size (tells the first window size) or hang.
func (e *Engine) Exec(ctx context.Context, ref string, req api.ExecRequest, s server.Streams) (int, error) {
	in, err := e.Get(ctx, ref)
	if err != nil {
		return 0, err
	}
	if in.Status.Phase != api.PhaseRunning {
		return 0, api.Errorf(api.Conflict, "%s does not run", in.Spec.Name)
	}
	s.Started()
	words := req.Command[1:]
	switch req.Command[0] {
	case "echo":
		for _, word := range words {
			fmt.Fprintln(s.Stdout, word)
		}
	case "env":
		return 0, json.NewEncoder(s.Stdout).Encode(req)
	case "cat":
		_, err = io.Copy(s.Stdout, s.Stdin)
	case "both":
		fmt.Fprintln(s.Stdout, "out")
		fmt.Fprintln(s.Stderr, "err")
	case "exit":
		return strconv.Atoi(words[0])
	case "size":
		select {
		case size := <-s.Resize:
			fmt.Fprintf(s.Stdout, "%dx%d", size.Width, size.Height)
		case <-ctx.Done():
		}
	case "hang":
		<-ctx.Done()
		e.change(func() { e.files["/hung"] = []byte(context.Cause(ctx).Error()) })
		return 0, ctx.Err()
	case "panic":
		panic("exec")
	default:
		return 127, nil
	}
	return 0, err
}

// File is what a path holds, for tests to look at.
func (e *Engine) File(path string) (string, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	data, ok := e.files[path]
	return string(data), ok
}

// Attach implements server.Engine. Input is printed in capitals.
func (e *Engine) Attach(ctx context.Context, ref, _ string, replay bool, s server.Streams) (int, error) {
	if _, err := e.Get(ctx, ref); err != nil {
		return 0, err
	}
	if s.Stdin != nil {
		go func() {
			data, _ := io.ReadAll(s.Stdin)
			_ = e.Print(ref, 1, strings.ToUpper(string(data)))
		}()
	}
	s.Started()
	opts := api.LogOptions{Follow: true, Tail: -1}
	if !replay {
		opts.Tail = 0
	}
	err := e.Logs(ctx, ref, opts, func(entry server.LogEntry) error {
		w := s.Stdout
		if entry.Stream == 2 && s.Stderr != nil {
			w = s.Stderr
		}
		_, err := w.Write(entry.Data)
		return err
	})
	if err != nil {
		return 0, err
	}
	in, err := e.Get(ctx, ref)
	if err != nil {
		return 0, err
	}
	return *in.Status.ExitCode, nil
}

// PortForward answers on port 7 with what it hears, on port 80 with a greeting
// and the end of its half; other ports are closed.
func (e *Engine) PortForward(ctx context.Context, ref string, port uint16, conn io.ReadWriteCloser) error {
	if _, err := e.Get(ctx, ref); err != nil {
		return err
	}
	switch port {
	case 7:
		_, err := io.Copy(conn, conn)
		return err
	case 80:
		_, err := io.WriteString(conn, "hello")
		err = errors.Join(err, conn.(interface{ CloseWrite() error }).CloseWrite())
		rest, _ := io.ReadAll(conn)
		e.change(func() { e.files["/heard"] = rest })
		return err
	}
	return api.Errorf(api.Unavailable, "nothing listens on port %d", port)
}

// CopyOut sends the files at and below a path. The path /broken fails midway.
func (e *Engine) CopyOut(_ context.Context, ref, _, path string, w io.Writer) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, err := e.find(ref); err != nil {
		return err
	}
	tw := tar.NewWriter(w)
	if path == "/broken" {
		_ = tw.WriteHeader(&tar.Header{Name: "broken", Size: 100})
		return errors.New("the container went away")
	}
	found := false
	for _, name := range slices.Sorted(maps.Keys(e.files)) {
		if name != path && !strings.HasPrefix(name, path+"/") {
			continue
		}
		found = true
		data := e.files[name]
		if err := tw.WriteHeader(&tar.Header{Name: strings.TrimPrefix(name, "/"), Size: int64(len(data)), Mode: 0o644}); err != nil {
			return err
		}
		if _, err := tw.Write(data); err != nil {
			return err
		}
	}
	if !found {
		e := api.Errorf(api.NotFound, "there is no file %s", path)
		e.Field = "path"
		return e
	}
	return tw.Close()
}

// CopyIn keeps the files of an archive.
func (e *Engine) CopyIn(_ context.Context, ref, _, path string, r io.Reader) error {
	if _, err := e.Get(context.Background(), ref); err != nil {
		return err
	}
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return api.Errorf(api.Invalid, "not a tar archive: %w", err)
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			return err
		}
		e.change(func() { e.files[strings.TrimSuffix(path, "/")+"/"+h.Name] = data })
	}
}

// Stats implements server.Engine.
func (e *Engine) Stats(ctx context.Context, ref string) (api.Stats, error) {
	in, err := e.Get(ctx, ref)
	s := api.Stats{ID: in.ID, Name: in.Spec.Name, Time: time.Now(), CPULimit: in.Spec.CPU, MemoryLimit: in.Spec.Memory}
	for _, c := range in.Spec.Containers {
		s.Containers = append(s.Containers, api.ContainerStats{Name: c.Name, CPUSeconds: 1.5, CPU: 0.25, Memory: 2 * api.MiB, Disk: 12 << 10})
	}
	return s, err
}

// Console implements server.Engine.
func (e *Engine) Console(ctx context.Context, ref string) (api.Console, error) {
	in, err := e.Get(ctx, ref)
	return api.Console{ID: in.ID, Name: in.Spec.Name, Text: "Linux version 6.1.0\n"}, err
}
