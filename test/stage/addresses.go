package stage

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// FreePort is a port of the loopback address where nobody listens. It is below those that
// the kernel gives to connections, which could take it before it is used, or end up
// talking to themselves.
func FreePort() (int, error) {
	for range 100 {
		port := 20000 + rand.IntN(10000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no port from 20000 to 29999 is free")
}

// HostAddress is one of the host's IPv4 addresses that is not loopback, as API servers of
// Kubernetes ask for it.
func HostAddress() (string, error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return "", err
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && n.IP.To4() != nil {
			return n.IP.String(), nil
		}
	}
	return "", errors.New("this host has no address but loopback")
}
