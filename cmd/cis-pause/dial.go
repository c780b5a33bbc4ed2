package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"
)

// dial joins a stream socket with a TCP port of localhost, IPv4 first, and lets
// each direction end on its own. It says ok when it is connected.
func dial(port string, stream *os.File, word io.Writer) error {
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fmt.Errorf("dial: port %q: %w", port, err)
	}
	conn, err := connect(int(number))
	if err != nil {
		return fmt.Errorf("dial localhost:%d: %w", number, err)
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
func connect(port int) (*os.File, error) {
	v4 := &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
	conn, err := connectTo(syscall.AF_INET, v4)
	if err == nil {
		return conn, nil
	}
	v6 := &syscall.SockaddrInet6{Port: port, Addr: [16]byte{15: 1}}
	if conn, err6 := connectTo(syscall.AF_INET6, v6); err6 == nil {
		return conn, nil
	}
	return nil, err
}

func connectTo(family int, address syscall.Sockaddr) (*os.File, error) {
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
