package network

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"cis/api"
)

// reservation holds a port of the host.
type reservation struct{ sockets []io.Closer }

func (r *reservation) release() {
	for _, s := range r.sockets {
		s.Close()
	}
}

// reserve opens a port on the host, by the families in which it leads to a NIC, and so finds out whether a program
// has it, and keeps others from it, which would wait there in vain. All packets to it are
// translated before they get to a socket, but for those to ::1.
func (m *Manager) reserve(p Port, in []family) (*reservation, error) {
	held := &reservation{}
	err := m.holdPort(held, p, in)
	if err == nil && p.Protocol == TCP && !p.Host.IsValid() {
		err = m.holdLoopback6(held, p.HostPort)
	}
	if err != nil {
		held.release()
		return nil, m.portTaken(p, err)
	}
	return held, nil
}

func (m *Manager) holdPort(held *reservation, p Port, in []family) error {
	for _, f := range in {
		var c io.Closer
		err := m.host.within(func() (err error) {
			c, err = listenOn(f, p)
			return err
		})
		if err != nil {
			return err
		}
		if f.number == unix.NFPROTO_IPV6 && !p.Host.IsValid() {
			c.Close() // ::1 is in it, where datagrams would be lost unheard
			continue
		}
		held.sockets = append(held.sockets, c)
	}
	return nil
}

func (m *Manager) holdLoopback6(held *reservation, port uint16) error {
	p, err := startLoopbackProxy(m.host, port)
	if p != nil {
		held.sockets = append(held.sockets, p)
	}
	return err
}

func listenOn(f family, p Port) (io.Closer, error) {
	address := netip.AddrPortFrom(p.Host, p.HostPort).String()
	if !p.Host.IsValid() {
		address = ":" + strconv.Itoa(int(p.HostPort))
	}
	if p.Protocol == UDP {
		return net.ListenPacket("udp"+f.digit(), address)
	}
	return net.Listen("tcp"+f.digit(), address)
}

func (f family) digit() string {
	if f.number == unix.NFPROTO_IPV6 {
		return "6"
	}
	return "4"
}

// portTaken says why a port could not be opened.
func (m *Manager) portTaken(p Port, err error) error {
	switch {
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return api.FieldError("ports", "%s is not an address of the host", p.Host)
	case errors.Is(err, unix.EADDRINUSE):
		return api.Errorf(api.Conflict, "port %s of the host is in use by %s", p, m.holder(p)).
			WithNext("choose another host port, or end that program")
	}
	return fmt.Errorf("reserve port %s: %w", p, err)
}

// CheckPort says whether a Port can be had of the host: its error names the program that
// has it. What leads to a NIC already passes: whose it shall be is the caller's to know.
func (m *Manager) CheckPort(p Port) error {
	if err := p.check(); err != nil {
		return fmt.Errorf("check port %s: %w", p, err)
	}
	m.edge.mu.Lock()
	defer m.edge.mu.Unlock()
	if slices.ContainsFunc(m.edge.bySocket[p.socket()], func(o *publication) bool { return p.clashes(o.Port) }) {
		return nil
	}
	in := ip4
	if p.Host.IsValid() {
		in = familyOf(p.Host)
	}
	held, err := m.reserve(p, []family{in})
	if err != nil {
		return fmt.Errorf("check port %s: %w", p, err)
	}
	held.release()
	return nil
}

// FreePort finds a port of the host that is free on all its addresses, for a Port whose
// number does not matter. Somebody else may be quicker to take it.
func (m *Manager) FreePort(p Protocol) (uint16, error) {
	var port uint16
	err := m.host.within(func() error {
		c, err := listenOn(ip4, Port{Protocol: p})
		if err != nil {
			return err
		}
		defer c.Close()
		switch c := c.(type) {
		case net.Listener:
			port = c.Addr().(*net.TCPAddr).AddrPort().Port()
		case net.PacketConn:
			port = c.LocalAddr().(*net.UDPAddr).AddrPort().Port()
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("find a free %s port: %w", p, err)
	}
	return port, nil
}

// holder names the program that has the port, as well as it can be found out.
func (m *Manager) holder(p Port) string {
	var inodes []string
	_ = m.host.within(func() error {
		for _, suffix := range []string{"", "6"} {
			// The thread's own view: the process may be in another namespace.
			table, err := os.ReadFile("/proc/thread-self/net/" + p.Protocol.String() + suffix)
			if err == nil {
				inodes = append(inodes, boundTo(string(table), p)...)
			}
		}
		return nil
	})
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range links {
		target, err := os.Readlink(fd)
		if err != nil {
			continue
		}
		for _, inode := range inodes {
			if target == "socket:["+inode+"]" {
				pid := strings.Split(fd, "/")[2]
				name, _ := os.ReadFile("/proc/" + pid + "/comm")
				return fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(name)), pid)
			}
		}
	}
	return "another program"
}

// boundTo finds the inodes of sockets that wait on the port in a table of
// /proc/net/tcp or udp (proc_pid_net(5)), whose columns are: number, local address,
// remote address, state, and, as the tenth, the inode.
func boundTo(table string, p Port) (inodes []string) {
	suffix := fmt.Sprintf(":%04X", p.HostPort)
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 10 || !strings.HasSuffix(f[1], suffix) {
			continue
		}
		const listen = "0A"
		if p.Protocol == UDP || f[3] == listen {
			inodes = append(inodes, f[9])
		}
	}
	return inodes
}
