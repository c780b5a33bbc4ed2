package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"

	"cis/api"
)

func (s *Server) exec(w http.ResponseWriter, r *http.Request) {
	in, ok := s.find(w, r)
	if !ok {
		return
	}
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	remotecommand.ServeExec(w, r, session{s, in.ID}, "", "", r.PathValue("container"), r.URL.Query()["command"], options,
		streamIdle, remotecommand.DefaultStreamCreationTimeout, remotecommand.SupportedStreamingProtocols)
}

func (s *Server) attach(w http.ResponseWriter, r *http.Request) {
	in, ok := s.find(w, r)
	if !ok {
		return
	}
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	remotecommand.ServeAttach(w, r, session{s, in.ID}, "", "", r.PathValue("container"), options,
		streamIdle, remotecommand.DefaultStreamCreationTimeout, remotecommand.SupportedStreamingProtocols)
}

func (s *Server) portForward(w http.ResponseWriter, r *http.Request) {
	in, ok := s.find(w, r)
	if !ok {
		return
	}
	options, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	portforward.ServePortForward(w, r, session{s, in.ID}, "", "", options,
		streamIdle, remotecommand.DefaultStreamCreationTimeout, portforward.SupportedProtocols)
}

// session serves the streams of one instance.
type session struct {
	*Server
	instance string
}

// ExecInContainer implements remotecommand.Executor.
func (s session) ExecInContainer(ctx context.Context, _, _, container string, command []string, in io.Reader, out, errOut io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize, _ time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	streams := streamsOf(ctx, cancel, in, out, errOut, tty, resize)
	code, err := s.Cis.Exec(ctx, s.instance, api.ExecRequest{Container: container, Command: command, TTY: tty, Stdin: in != nil}, streams)
	if err != nil {
		return err
	}
	if code != 0 {
		return exitError(code)
	}
	return nil
}

// AttachContainer implements remotecommand.Attacher.
func (s session) AttachContainer(ctx context.Context, _, _, container string, in io.Reader, out, errOut io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	_, err := s.Cis.Attach(ctx, s.instance, container, false, streamsOf(ctx, cancel, in, out, errOut, tty, resize))
	return err
}

// PortForward implements portforward.PortForwarder.
func (s session) PortForward(ctx context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	return s.Cis.PortForward(ctx, s.instance, uint16(port), halfCloser{stream})
}

// halfCloser ends one direction of a stream of SPDY, whose Close does no more than that.
type halfCloser struct{ io.ReadWriteCloser }

// CloseWrite tells the client that no more comes.
func (h halfCloser) CloseWrite() error { return h.Close() }

// streamsOf gives an absent stream as nil. A client that cannot be written to any more
// has gone, and what it asked for ends.
func streamsOf(ctx context.Context, gone context.CancelFunc, in io.Reader, out, errOut io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize) (s api.Streams) {
	if in != nil {
		s.Stdin = in
	}
	if out != nil {
		s.Stdout = clientWriter{out, gone}
	}
	if errOut != nil {
		s.Stderr = clientWriter{errOut, gone}
	}
	if tty {
		s.Resize = sizes(ctx, resize)
	}
	return s
}

type clientWriter struct {
	io.Writer
	gone context.CancelFunc
}

func (c clientWriter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	if err != nil {
		c.gone()
	}
	return n, err
}

func sizes(ctx context.Context, from <-chan remotecommand.TerminalSize) <-chan api.WindowSize {
	to := make(chan api.WindowSize)
	go func() {
		defer close(to)
		for {
			select {
			case size, ok := <-from:
				if !ok {
					return
				}
				select {
				case to <- api.WindowSize{Width: size.Width, Height: size.Height}:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return to
}

// exitError is a program's exit code, in the form that the protocol carries on.
type exitError int

func (e exitError) Error() string   { return fmt.Sprintf("exit status %d", int(e)) }
func (e exitError) String() string  { return e.Error() }
func (e exitError) Exited() bool    { return true }
func (e exitError) ExitStatus() int { return int(e) }

var errNoClient = errors.New("no client certificate that the cluster signed, and no token")
