package main

import (
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"time"

	"cis/internal/agent/reach"
)

// try tells whether a port can be reached: the result, then what the system says of it,
// a line each, in one write.
func try(protocol, to, milliseconds string, out io.Writer) error {
	address, err := netip.ParseAddrPort(to)
	if err != nil {
		return fmt.Errorf("try: %w", err)
	}
	wait, err := strconv.ParseInt(milliseconds, 10, 32)
	if err != nil || protocol != "tcp" && protocol != "udp" {
		return fmt.Errorf("try %s %s %s: wants tcp or udp, ADDRESS:PORT and milliseconds", protocol, to, milliseconds)
	}
	result, detail, err := reach.Try(protocol == "udp", address, time.Duration(wait)*time.Millisecond)
	if err != nil {
		return fmt.Errorf("try %s: %w", to, err)
	}
	_, err = fmt.Fprintf(out, "%s\n%s\n", result, detail)
	return err
}
