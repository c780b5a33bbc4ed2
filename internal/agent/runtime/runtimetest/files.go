package runtimetest

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Put gives a running container a file.
func (r *Runtime) Put(name, file string, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.containers[name].files[file] = data
}

// Get returns a file of a running container.
func (r *Runtime) Get(name, file string) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.containers[name].files[file]
}

// CopyOut implements runtime.Runtime.
func (r *Runtime) CopyOut(ctx context.Context, name, from string, w io.Writer) error {
	r.mu.Lock()
	files := map[string][]byte{}
	for file, data := range r.containers[name].files {
		if file == from || strings.HasPrefix(file, from+"/") {
			files[path.Base(from)+strings.TrimPrefix(file, from)] = data
		}
	}
	r.mu.Unlock()
	if len(files) == 0 {
		return fmt.Errorf("copy %s: %w", from, os.ErrNotExist)
	}
	t := tar.NewWriter(w)
	for file, data := range files {
		if err := t.WriteHeader(&tar.Header{Name: file, Mode: 0o644, Size: int64(len(data))}); err != nil {
			return err
		}
		if _, err := t.Write(data); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), ctx.Err())
}

// CopyIn implements runtime.Runtime.
func (r *Runtime) CopyIn(_ context.Context, name, to string, from io.Reader) error {
	for t := tar.NewReader(from); ; {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("copy to %s: %w", to, err)
		}
		data, err := io.ReadAll(t)
		if err != nil {
			return fmt.Errorf("copy to %s: %w", to, err)
		}
		r.Put(name, path.Join(to, h.Name), data)
	}
}

// socketPair is two connected stream sockets.
func socketPair() (a, b net.Conn, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	conns := [2]net.Conn{}
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		c, connErr := net.FileConn(f)
		f.Close()
		conns[i], err = c, errors.Join(err, connErr)
	}
	return conns[0], conns[1], err
}
