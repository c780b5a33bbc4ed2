package runsc

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"
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
	protocol := "tcp"
	if udp {
		protocol = "udp"
	}
	h, err := s.help(ctx, "try", protocol, to.String(), strconv.FormatInt(wait.Milliseconds(), 10))
	if err != nil {
		return "", err
	}
	text, err := h.answer(ctx)
	if err == nil && text == "" {
		err = io.EOF
	}
	return text, err
}
