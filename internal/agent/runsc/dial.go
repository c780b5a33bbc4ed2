package runsc

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"cis/api"
)

// Dial implements runtime.Runtime. cis-pause, started once more in the root
// container, joins the port with a socket; gVisor's own port forwarding knows
// neither IPv6 nor one direction's end, and holds every other call up until the
// connection stands. What it returns is a *net.UnixConn.
func (s *Sandbox) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	conn, err := s.dial(ctx, to)
	if err != nil {
		return nil, fmt.Errorf("dial port %d: %w", to.Port(), err)
	}
	return conn, nil
}

func (s *Sandbox) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	word, err := s.startDial(ctx, to, theirs)
	theirs.Close()
	switch {
	case err != nil:
	case word == "ok":
		return ours, nil
	default:
		err = &api.Error{Code: api.Unavailable, Message: word, Next: "check that the program listens on this port"}
	}
	ours.Close()
	return nil, err
}

// startDial starts the joining and returns its first word: "ok", or why not.
func (s *Sandbox) startDial(ctx context.Context, to netip.AddrPort, stream *os.File) (string, error) {
	words, theirs, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer words.Close()
	place := strconv.Itoa(int(to.Port()))
	if to.Addr().IsValid() {
		place = to.String()
	}
	p, err := s.exec(ctx, execArgs{
		ContainerID: s.conf.ID, Filename: "/pause", WorkingDirectory: "/",
		Argv: []string{"pause", "dial", place},
		Envv: []string{"GOMAXPROCS=1"},
	}, nil, stream, theirs, theirs)
	theirs.Close()
	if err != nil {
		return "", err
	}
	go p.Wait() // which makes gVisor forget it
	stop := context.AfterFunc(ctx, func() { p.Signal(context.Background(), int(unix.SIGKILL), false) })
	defer stop()
	word := make([]byte, 256)
	n, err := words.Read(word)
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if n == 0 {
		return "", err
	}
	return strings.TrimSpace(string(word[:n])), nil
}

// socketPair gives a stream for the agent and the other end of it for the sandbox.
func socketPair() (net.Conn, *os.File, error) {
	pair, err := filePair()
	if err != nil {
		return nil, nil, err
	}
	defer pair[0].Close()
	conn, err := net.FileConn(pair[0])
	if err != nil {
		pair[1].Close()
		return nil, nil, err
	}
	return conn, pair[1], nil
}
