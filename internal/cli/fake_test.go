package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cis/api"
	"cis/internal/agent/tarcopy"
	"cis/internal/server"
	"cis/internal/server/servertest"
)

// engine is the server's test engine with programs: an instance's image names
// one of the programs below, which runs while it is attached.
type engine struct {
	*servertest.Engine
	root string // the file system inside

	mu       sync.Mutex
	created  []api.CreateInstance
	status   map[string]api.InstanceStatus // by ID, in place of the base's
	events   []api.Event
	news     chan struct{}
	stops    chan *time.Duration
	removed  []string
	detached chan struct{} // told when an attached client has gone
}

// program is what an image does.
type program func(ctx context.Context, e *engine, in api.Instance, s server.Streams) (int, error)

var programs = map[string]program{
	"both": func(_ context.Context, _ *engine, _ api.Instance, s server.Streams) (int, error) {
		fmt.Fprint(s.Stdout, "out\n")
		fmt.Fprint(s.Stderr, "err\n")
		return 3, nil
	},
	"args": func(_ context.Context, _ *engine, in api.Instance, s server.Streams) (int, error) {
		fmt.Fprintf(s.Stdout, "%q\n", in.Spec.Containers[0].Args)
		return 0, nil
	},
	"cat": func(_ context.Context, _ *engine, _ api.Instance, s server.Streams) (int, error) {
		_, err := io.Copy(s.Stdout, s.Stdin)
		return 0, err
	},
	// sleep ends when it is stopped, at once when that is a kill.
	"sleep": func(ctx context.Context, e *engine, _ api.Instance, s server.Streams) (int, error) {
		fmt.Fprint(s.Stdout, "sleeping\n")
		return e.untilStopped(ctx, 143)
	},
	// stubborn ends only when it is killed.
	"stubborn": func(ctx context.Context, e *engine, _ api.Instance, s server.Streams) (int, error) {
		fmt.Fprint(s.Stdout, "sleeping\n")
		for {
			if code, err := e.untilStopped(ctx, 0); code != 0 || err != nil {
				return code, err
			}
			fmt.Fprint(s.Stdout, "no\n")
		}
	},
	"tty": ttyProgram,
	// slow takes long to pull.
	"slow": func(_ context.Context, e *engine, in api.Instance, s server.Streams) (int, error) {
		e.tell(in, api.EventNormal, "Pulling", "pulling image \"slow\"")
		time.Sleep(2 * quietStart)
		e.tell(in, api.EventNormal, "Pulled", "image \"slow\" is here")
		time.Sleep(quietStart / 4)
		s.Started()
		fmt.Fprint(s.Stdout, "up\n")
		return 0, nil
	},
	// missing cannot be pulled; the engine tries again for ever.
	"missing": func(ctx context.Context, e *engine, in api.Instance, _ server.Streams) (int, error) {
		e.set(in, api.InstanceStatus{Phase: api.PhasePending, ContainerStatuses: []api.ContainerStatus{{Name: "main", Image: "missing",
			State: api.ContainerState{Waiting: &api.StateWaiting{Reason: api.ReasonErrImagePull, Message: "the registry has no such image"}}}}})
		e.tell(in, api.EventWarning, "Failed", "the registry has no such image")
		<-ctx.Done()
		return 0, ctx.Err()
	},
	// absent is missing, in a container that was added.
	"absent": func(ctx context.Context, e *engine, in api.Instance, _ server.Streams) (int, error) {
		added := in.Spec.EphemeralContainers[len(in.Spec.EphemeralContainers)-1].Name
		status := in.Status
		status.EphemeralContainerStatuses = []api.ContainerStatus{{Name: added, Image: "absent",
			State: api.ContainerState{Waiting: &api.StateWaiting{Reason: api.ReasonErrImagePull, Message: "the registry has no such image"}}}}
		e.set(in, status)
		e.tellOf(in, "main", api.EventNormal, "Pulling", "pulling image \"other\"")
		e.tellOf(in, added, api.EventNormal, "Pulling", "pulling image \"absent\"")
		e.tellOf(in, added, api.EventWarning, "Failed", "the registry has no such image")
		<-ctx.Done()
		return 0, ctx.Err()
	},
	// pending never starts; a stop ends it.
	"pending": func(ctx context.Context, e *engine, in api.Instance, _ server.Streams) (int, error) {
		e.tell(in, api.EventNormal, "Pulling", "pulling image \"pending\"")
		if _, err := e.untilStopped(ctx, 0); err != nil {
			return 0, err
		}
		return 0, api.Errorf(api.Unavailable, "container main did not run: Stopped: ")
	},
	// denied cannot be pulled, and the engine gives up.
	"denied": func(_ context.Context, e *engine, in api.Instance, _ server.Streams) (int, error) {
		e.set(in, api.InstanceStatus{Phase: api.PhaseFailed, ContainerStatuses: []api.ContainerStatus{{Name: "main", Image: "denied",
			State: api.ContainerState{Terminated: &api.StateTerminated{Reason: api.ReasonErrImagePull, Message: "login needed", FinishedAt: time.Now()}}}}})
		return 0, api.Errorf(api.Unavailable, "container main did not run: ErrImagePull: login needed")
	},
	// shell prints its input in capitals, as output that can be replayed, until it
	// reads an x.
	"shell": func(ctx context.Context, e *engine, in api.Instance, s server.Streams) (int, error) {
		go func() {
			for buf := make([]byte, 64); ; {
				n, err := s.Stdin.Read(buf)
				if err != nil {
					return
				}
				_ = e.Print(in.ID, 1, strings.ToUpper(string(buf[:n])))
				if bytes.Contains(buf[:n], []byte("x")) {
					_ = e.Finish(in.ID, 7)
				}
			}
		}()
		return e.Engine.Attach(ctx, in.ID, "", true, server.Streams{Stdout: s.Stdout, Started: s.Started})
	},
	"nosuch": func(_ context.Context, _ *engine, _ api.Instance, s server.Streams) (int, error) {
		fmt.Fprint(s.Stderr, "cis: \"nosuch\" is not in the image's PATH\n")
		return 127, nil
	},
	"oom": func(_ context.Context, e *engine, in api.Instance, s server.Streams) (int, error) {
		s.Started()
		e.set(in, api.InstanceStatus{Phase: api.PhaseFailed, ContainerStatuses: []api.ContainerStatus{{Name: "main",
			State: api.ContainerState{Terminated: &api.StateTerminated{ExitCode: 137, Reason: api.ReasonOOMKilled, StartedAt: time.Now()}}}}})
		return 137, nil
	},
	"late": func(_ context.Context, e *engine, in api.Instance, s server.Streams) (int, error) {
		s.Started()
		e.set(in, api.InstanceStatus{Phase: api.PhaseFailed, Reason: api.ReasonDeadlineExceeded, Message: "it ran longer than 1s"})
		return 143, nil
	},
	"lost": func(_ context.Context, _ *engine, _ api.Instance, s server.Streams) (int, error) {
		s.Started()
		return 0, api.Errorf(api.Unavailable, "the sandbox is gone")
	},
}

// ttyProgram prints every size it gets and every key, until it reads an x.
func ttyProgram(ctx context.Context, _ *engine, _ api.Instance, s server.Streams) (int, error) {
	s.Started()
	keys := make(chan []byte)
	go func() {
		defer close(keys)
		for buf := make([]byte, 64); ; {
			n, err := s.Stdin.Read(buf)
			if n > 0 {
				keys <- bytes.Clone(buf[:n])
			}
			if err != nil {
				return
			}
		}
	}()
	for {
		select {
		case size := <-s.Resize:
			fmt.Fprintf(s.Stdout, "size %dx%d\r\n", size.Width, size.Height)
		case k, ok := <-keys:
			if !ok {
				return 0, io.ErrUnexpectedEOF
			}
			fmt.Fprintf(s.Stdout, "key %q\r\n", k)
			if bytes.Contains(k, []byte("x")) {
				return 7, nil
			}
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func (e *engine) untilStopped(ctx context.Context, code int) (int, error) {
	select {
	case grace := <-e.stops:
		if grace != nil && *grace == 0 {
			return 137, nil
		}
		return code, nil
	case <-ctx.Done():
		select {
		case e.detached <- struct{}{}:
		default:
		}
		return 0, ctx.Err()
	}
}

func (e *engine) Create(ctx context.Context, req api.CreateInstance) (api.Instance, bool, error) {
	inst, created, err := e.Engine.Create(ctx, req)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil {
		e.created = append(e.created, req)
	}
	return inst, created, err
}

func (e *engine) Get(ctx context.Context, ref string) (api.Instance, error) {
	inst, err := e.Engine.Get(ctx, ref)
	e.mu.Lock()
	defer e.mu.Unlock()
	if s, ok := e.status[inst.ID]; ok && err == nil {
		inst.Status = s
	}
	return inst, err
}

func (e *engine) Wait(ctx context.Context, ref string) (api.Instance, error) {
	if inst, err := e.Get(ctx, ref); err != nil || inst.Status.Phase.Finished() {
		return inst, err
	}
	return e.Engine.Wait(ctx, ref)
}

func (e *engine) Attach(ctx context.Context, ref, container string, replay bool, s server.Streams) (int, error) {
	in, err := e.Get(ctx, ref)
	if err != nil {
		return 0, err
	}
	img := in.Spec.Containers[0].Image
	for _, c := range in.Spec.EphemeralContainers {
		if c.Name == container {
			img = c.Image
		}
	}
	run, ok := programs[img]
	if !ok {
		return e.Engine.Attach(ctx, ref, container, replay, s)
	}
	if img == "sleep" || img == "stubborn" {
		s.Started()
	}
	if s.Stdout == nil {
		s.Stdout = io.Discard
	}
	if s.Stderr == nil {
		s.Stderr = io.Discard
	}
	return run(ctx, e, in, s)
}

func (e *engine) Stop(ctx context.Context, ref string, grace *time.Duration) (api.Instance, error) {
	e.stops <- grace
	return e.Get(ctx, ref)
}

func (e *engine) Remove(ctx context.Context, ref string, force bool, grace *time.Duration) error {
	err := e.Engine.Remove(ctx, ref, force, grace)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil {
		e.removed = append(e.removed, ref)
	}
	return err
}

func (e *engine) set(in api.Instance, s api.InstanceStatus) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status[in.ID] = s
}

func (e *engine) tell(in api.Instance, kind api.EventType, reason, message string) {
	e.tellOf(in, "", kind, reason, message)
}

func (e *engine) tellOf(in api.Instance, container string, kind api.EventType, reason, message string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.events = append(e.events, api.Event{ID: int64(len(e.events) + 1), InstanceID: in.ID, Instance: in.Spec.Name, Container: container,
		Type: kind, Reason: reason, Message: message, FirstSeen: time.Now(), LastSeen: time.Now(), Count: 1})
	close(e.news)
	e.news = make(chan struct{})
}

func (e *engine) WatchEvents(ctx context.Context, opts server.EventOptions, fn func(api.Event) error) error {
	for next := 0; ; {
		e.mu.Lock()
		batch, news := e.events[next:], e.news
		next = len(e.events)
		e.mu.Unlock()
		for _, event := range batch {
			if opts.Instance != "" && opts.Instance != event.InstanceID {
				continue
			}
			if err := fn(event); err != nil {
				return err
			}
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Events gives the base's, which knows instances by name only.
func (e *engine) Events(ctx context.Context, opts server.EventOptions) (api.List[api.Event], error) {
	if opts.Instance != "" {
		in, err := e.Get(ctx, opts.Instance)
		if err != nil {
			return api.List[api.Event]{}, err
		}
		opts.Instance = in.Spec.Name
	}
	return e.Engine.Events(ctx, opts)
}

// CopyOut and CopyIn do in a directory what the agent does in a container.
func (e *engine) CopyOut(ctx context.Context, ref, _, path string, w io.Writer) error {
	if _, err := e.Get(ctx, ref); err != nil {
		return err
	}
	inside := filepath.Join(e.root, path)
	if _, err := os.Lstat(inside); errors.Is(err, fs.ErrNotExist) {
		return api.Errorf(api.NotFound, "%s: no such file or directory", path).WithNext("check the path in the container")
	}
	return tarcopy.Pack(w, inside)
}

func (e *engine) CopyIn(ctx context.Context, ref, _, path string, r io.Reader) error {
	if _, err := e.Get(ctx, ref); err != nil {
		return err
	}
	if err := tarcopy.Unpack(filepath.Join(e.root, path), r); err != nil {
		return api.Errorf(api.Invalid, "%w", err)
	}
	return nil
}

// lab is a server with that engine.
type lab struct {
	t      *testing.T
	engine *engine
	host   string
	// down stops the server in order, crash without a word.
	down, crash func()
}

func newLab(t *testing.T) *lab {
	t.Helper()
	// The path of a unix socket is short; t.TempDir's may not be.
	dir, err := os.MkdirTemp("", "cis")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	e := &engine{Engine: servertest.New(), root: t.TempDir(), status: map[string]api.InstanceStatus{},
		news: make(chan struct{}), stops: make(chan *time.Duration, 4), detached: make(chan struct{}, 1)}
	socket := filepath.Join(dir, "s")
	l := &lab{t: t, engine: e, host: "unix://" + socket}
	l.up()
	t.Cleanup(func() { l.down() })
	return l
}

// up starts the server.
func (l *lab) up() {
	l.t.Helper()
	listener, err := net.Listen("unix", strings.TrimPrefix(l.host, "unix://"))
	if err != nil {
		l.t.Fatal(err)
	}
	kept := &keptListener{Listener: listener}
	srv := server.New(server.Config{Engine: l.engine, Log: slog.New(slog.DiscardHandler), Version: "1.2.3"})
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx, server.Listener{Listener: kept}) }()
	l.down = func() {
		cancel()
		select { // a server may take seconds over clients that have gone
		case <-served:
		case <-time.After(100 * time.Millisecond):
		}
	}
	l.crash = func() { kept.closeAll(); l.down() }
}

// keptListener knows its connections, to break them.
type keptListener struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func (k *keptListener) Accept() (net.Conn, error) {
	conn, err := k.Listener.Accept()
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.conns = append(k.conns, conn)
	}
	return conn, err
}

func (k *keptListener) closeAll() {
	_ = k.Close()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, conn := range k.conns {
		_ = conn.Close()
	}
}

// result is what one call of cis left.
type result struct {
	code     int
	out, err string
}

// cis runs the command line in this process.
func (l *lab) cis(stdin string, args ...string) result {
	l.t.Helper()
	return l.cisEnv(nil, stdin, args...)
}

func (l *lab) cisEnv(env map[string]string, stdin string, args ...string) result {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
	defer cancel()
	var out, errOut syncBuffer
	code := Main(ctx, args, Env{In: strings.NewReader(stdin), Out: &out, Err: &errOut, Version: "0.0.1", Getenv: func(k string) string {
		if k == "CIS_HOST" {
			return l.host
		}
		return env[k]
	}})
	if ctx.Err() != nil {
		l.t.Fatalf("cis %s took too long; stdout %q, stderr %q", strings.Join(args, " "), out.String(), errOut.String())
	}
	return result{code, out.String(), errOut.String()}
}

// want checks a result; a wanted stderr may be a part of it.
func (l *lab) want(got result, code int, out, errPart string) {
	l.t.Helper()
	if got.code != code || got.out != out || !strings.Contains(got.err, errPart) || errPart == "" && got.err != "" {
		l.t.Errorf("got code %d\nstdout %q\nstderr %q\nwant code %d\nstdout %q\nstderr %q", got.code, got.out, got.err, code, out, errPart)
	}
}

// syncBuffer is a buffer that several goroutines may write to.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
