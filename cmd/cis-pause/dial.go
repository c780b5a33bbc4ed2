package main

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"syscall"

	"cis/internal/agent/reach"
)

// dial joins a stream socket with a TCP port, of localhost (IPv4 first) where no
// address is given, and lets each direction end on its own. It says ok when it is
// connected.
func dial(to string, stream *os.File, word io.Writer) error {
	conn, err := connect(to)
	if err != nil {
		return fmt.Errorf("dial %s: %w", to, err)
	}
	if _, err := fmt.Fprintln(word, "ok"); err != nil {
		return err
	}
	go func() {
		io.Copy(conn, stream)
		syscall.Shutdown(int(conn.Fd()), syscall.SHUT_WR)
	}()
	_, err = io.Copy(stream, conn)
	return err
}

// connect uses the bare system calls: package net would double this program.
func connect(to string) (*os.File, error) {
	if address, err := netip.ParseAddrPort(to); err == nil {
		return connectTo(address)
	}
	port, err := strconv.ParseUint(to, 10, 16)
	if err != nil {
		return nil, err
	}
	conn, err := connectTo(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port)))
	if err == nil {
		return conn, nil
	}
	if conn, err6 := connectTo(netip.AddrPortFrom(netip.IPv6Loopback(), uint16(port))); err6 == nil {
		return conn, nil
	}
	return nil, err
}

func connectTo(to netip.AddrPort) (*os.File, error) {
	family, address := reach.Sockaddr(to)
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := syscall.Connect(fd, address); err != nil {
		syscall.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "tcp"), nil
}
