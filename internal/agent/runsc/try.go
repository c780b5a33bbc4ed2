package runsc

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Try implements runtime.Runtime: cis-pause, started once more in the root container,
// does it and writes the result and the detail, a line each.
func (s *Sandbox) Try(ctx context.Context, udp bool, to netip.AddrPort, wait time.Duration) (result, detail string, err error) {
	text, err := s.try(ctx, udp, to, wait)
	if err != nil {
		return "", "", fmt.Errorf("try %s: %w", to, err)
	}
	result, detail, _ = strings.Cut(strings.TrimSpace(text), "\n")
	return result, detail, nil
}

func (s *Sandbox) try(ctx context.Context, udp bool, to netip.AddrPort, wait time.Duration) (string, error) {
	words, theirs, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer words.Close()
	protocol := "tcp"
	if udp {
		protocol = "udp"
	}
	p, err := s.exec(ctx, execArgs{
		ContainerID: s.conf.ID, Filename: "/pause", WorkingDirectory: "/",
		Argv: []string{"pause", "try", protocol, to.String(), strconv.FormatInt(wait.Milliseconds(), 10)},
		Envv: []string{"GOMAXPROCS=1"},
	}, nil, theirs, theirs, theirs)
	theirs.Close()
	if err != nil {
		return "", err
	}
	stop := context.AfterFunc(ctx, func() { p.Signal(context.Background(), int(unix.SIGKILL), false) })
	defer stop()
	text := make([]byte, 512)
	n, readErr := words.Read(text)
	end, err := p.Wait()
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case err != nil:
		return "", err
	case end.Code != 0:
		return "", fmt.Errorf("cis-pause ended with exit code %d: %s", end.Code, text[:n])
	case n == 0:
		return "", readErr
	}
	return string(text[:n]), nil
}
