package nfs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cis/internal/agent/agentpb"
)

const (
	// answerTime is how long the server may take to be found and to accept a connection,
	// mountTime how long it may take for all.
	answerTime = 10 * time.Second
	mountTime  = 30 * time.Second
	// Ports of servers, and of the daemon by which version 3 finds the others that it needs.
	serverPort, portmapperPort = "2049", "111"
)

// Share is a directory of a server that is mounted.
type Share struct {
	dir string
	// root keeps the mount in use, so that Abort leaves it where it is.
	root *os.File
}

// Mount mounts a directory of a server on a directory that it makes. A server that does not
// answer is an error after 30 seconds at most, or when ctx ends; the mount may then still come,
// and there is nothing to do about it but to end the VM.
func Mount(ctx context.Context, s *agentpb.NFS, dir string) (*Share, error) {
	share, err := mount(ctx, s, dir)
	if err != nil {
		return nil, fmt.Errorf("mount %s of the NFS server %s: %w", s.Path, s.Server, err)
	}
	return share, nil
}

func mount(ctx context.Context, s *agentpb.NFS, dir string) (*Share, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, mountTime, fmt.Errorf("it does not answer within %v", mountTime))
	defer cancel()
	server, client, err := reach(ctx, s.Server, serverPort)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	flags := uintptr(unix.MS_NODEV)
	if s.ReadOnly {
		flags |= unix.MS_RDONLY
	}
	err = negotiate(s.Versions, func(version string) error {
		if version == "3" {
			if _, _, err := reach(ctx, server.String(), portmapperPort); err != nil {
				return fmt.Errorf("version 3 needs its portmapper: %w", err)
			}
		}
		return bounded(ctx, func() error { return unix.Mount(source(s), dir, "nfs", flags, options(version, server, client)) })
	})
	if err != nil {
		return nil, err
	}
	root, err := os.OpenFile(dir, unix.O_PATH, 0)
	if err != nil {
		return nil, errors.Join(err, unix.Unmount(dir, unix.MNT_DETACH))
	}
	return &Share{dir: dir, root: root}, nil
}

// reach looks the server up and connects to it: the kernel would take minutes to tell that it
// does not answer. The addresses are the server's and the one by which it knows this host.
func reach(ctx context.Context, name, port string) (server, client netip.Addr, err error) {
	dialer := net.Dialer{Timeout: answerTime}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(name, port))
	if err != nil {
		return server, client, err
	}
	defer conn.Close()
	return addressOf(conn.RemoteAddr()), addressOf(conn.LocalAddr()), nil
}

func addressOf(a net.Addr) netip.Addr { return a.(*net.TCPAddr).AddrPort().Addr().Unmap() }

// source is what is mounted, in the kernel's words.
func source(s *agentpb.NFS) string {
	if strings.Contains(s.Server, ":") {
		return "[" + s.Server + "]:" + s.Path
	}
	return s.Server + ":" + s.Path
}

// options are those of the kernel's parser, see nfs(5). Locks of version 3 are the instance's
// own (nolock): those of the server need a daemon on either side.
func options(version string, server, client netip.Addr) string {
	proto := "tcp"
	if server.Is6() {
		proto = "tcp6"
	}
	o := fmt.Sprintf("vers=%s,addr=%s,proto=%s,hard,sec=sys", version, server, proto)
	if version == "3" {
		return o + fmt.Sprintf(",nolock,mountproto=%s,mountaddr=%s", proto, server)
	}
	return o + ",clientaddr=" + client.String()
}

// negotiate tries versions until one is there, as mount.nfs does: a server that has other names
// for its directories in version 4 says that there is no such directory, and an old one without
// that version that it is not permitted. Of several failures the first is told that says more
// than that the server has no such version.
func negotiate(versions []string, try func(version string) error) (failure error) {
	for _, version := range versions {
		err := try(version)
		if err == nil {
			return nil
		}
		if failure == nil || lacksVersion(failure) {
			failure = err
		}
		if !lacksVersion(err) && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EPERM) {
			break
		}
	}
	if lacksVersion(failure) {
		return fmt.Errorf("it has none of the versions %s: %w", strings.Join(versions, ", "), failure)
	}
	return failure
}

// lacksVersion tells whether a failure says that the server, or the kernel, has no such version.
func lacksVersion(err error) bool {
	return errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EINVAL)
}

// bounded calls what nothing can interrupt, and waits for it as long as ctx.
func bounded(ctx context.Context, call func() error) error {
	done := make(chan error, 1)
	go func() { done <- call() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
