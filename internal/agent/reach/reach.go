// Package reach tries whether a port can be reached from where the program runs. It uses
// the bare system calls, since cis-pause, which runs it in gVisor's sandboxes, would be
// twice its size with package net.
package reach

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// Result is how a try ended, in the words of api.TryResult.
type Result string

// The results.
const (
	Connected   Result = "connected"
	Answered    Result = "answered"
	Refused     Result = "refused"
	NoAnswer    Result = "no answer"
	Unreachable Result = "unreachable"
)

// Try connects to a TCP port, or sends a datagram to a UDP port and waits for the answer.
// How that ended comes with the system's word for it, if it has one; an error is that
// nothing could be tried.
func Try(udp bool, to netip.AddrPort, wait time.Duration) (result Result, detail string, err error) {
	kind := syscall.SOCK_STREAM
	if udp {
		kind = syscall.SOCK_DGRAM
	}
	family, address := Sockaddr(to)
	fd, err := syscall.Socket(family, kind|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return "", "", fmt.Errorf("make a socket: %w", err)
	}
	defer syscall.Close(fd)
	err = syscall.Connect(fd, address)
	if errors.Is(err, syscall.EINPROGRESS) {
		err = wrote(fd, wait)
	}
	if err == nil && udp {
		result, err = ask(fd, to.Port(), wait)
	} else {
		result = Connected
	}
	if err != nil {
		return judge(err), err.Error(), nil
	}
	return result, "", nil
}

// Sockaddr is an address as system calls want it, with its family.
func Sockaddr(to netip.AddrPort) (family int, address syscall.Sockaddr) {
	if to.Addr().Is4() {
		return syscall.AF_INET, &syscall.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	}
	return syscall.AF_INET6, &syscall.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
}

// wrote waits for the end of a connect.
func wrote(fd int, wait time.Duration) error {
	if err := poll(fd, pollOut, wait); err != nil {
		return err
	}
	number, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ERROR)
	if err == nil && number != 0 {
		err = syscall.Errno(number)
	}
	return err
}

// rootQuery asks a name server for those of the root (RFC 1035), since they answer to
// nothing but questions.
var rootQuery = []byte("\x63\x69\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01")

// ask sends a datagram and waits for one.
func ask(fd int, port uint16, wait time.Duration) (Result, error) {
	question := []byte("cis\n")
	if port == 53 {
		question = rootQuery
	}
	if _, err := syscall.Write(fd, question); err != nil {
		return "", err
	}
	if err := poll(fd, pollIn, wait); err != nil {
		return "", err
	}
	_, err := syscall.Read(fd, make([]byte, 1))
	return Answered, err
}

// judge tells what a failure says about the way.
func judge(err error) Result {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, os.ErrDeadlineExceeded):
		return NoAnswer
	}
	return Unreachable
}

const (
	pollIn  = 1
	pollOut = 4
)

// poll waits until the socket is ready, or fails with os.ErrDeadlineExceeded.
func poll(fd int, events int16, wait time.Duration) error {
	type pollFd struct {
		fd              int32
		events, revents int16
	}
	end := time.Now().Add(wait)
	for {
		at := pollFd{fd: int32(fd), events: events}
		left := syscall.NsecToTimespec(int64(max(0, time.Until(end))))
		n, _, errno := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&at)), 1, uintptr(unsafe.Pointer(&left)), 0, 0, 0)
		switch {
		case errno == syscall.EINTR:
		case errno != 0:
			return errno
		case n == 0:
			return os.ErrDeadlineExceeded
		default:
			return nil
		}
	}
}
