package crun

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"cis/api"
	"cis/internal/agent/runtime"
	"cis/internal/agent/tarcopy"
)

// copyCapabilities are what the copying program needs to read and write every
// file as it is.
var copyCapabilities = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_MKNOD",
}

// CopyOut implements runtime.Runtime.
func (r *Runtime) CopyOut(ctx context.Context, container, path string, w io.Writer) error {
	return r.copy(ctx, container, "pack", path, nil, w)
}

// CopyIn implements runtime.Runtime.
func (r *Runtime) CopyIn(ctx context.Context, container, path string, from io.Reader) error {
	return r.copy(ctx, container, "unpack", path, from, nil)
}

// copy runs cis-pause in the container, with a pipe on one side.
func (r *Runtime) copy(ctx context.Context, name, verb, path string, from io.Reader, to io.Writer) error {
	c, err := r.running(name)
	if err != nil {
		return err
	}
	ours, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	stdio := runtime.Stdio{Stdout: theirs}
	if from != nil {
		ours, theirs = theirs, ours
		stdio = runtime.Stdio{Stdin: theirs}
	}
	defer ours.Close()
	complaints, stderr, err := os.Pipe()
	if err != nil {
		theirs.Close()
		return err
	}
	defer complaints.Close()
	stdio.Stderr = stderr
	x, err := c.exec(ctx, &specs.Process{
		Args: []string{toolPath, verb, path}, Cwd: "/",
		Capabilities: &specs.LinuxCapabilities{Bounding: copyCapabilities, Effective: copyCapabilities, Permitted: copyCapabilities},
	}, stdio)
	theirs.Close()
	stderr.Close()
	if err != nil {
		return fmt.Errorf("%s %s: %w", verb, path, err)
	}
	defer context.AfterFunc(ctx, func() { x.Signal(context.Background(), int(unix.SIGKILL), false) })()
	if from != nil {
		_, err = io.Copy(ours, from)
	} else {
		_, err = io.Copy(to, ours)
	}
	ours.Close() // the program's end of it ends too
	return x.finish(path, complaints, err)
}

// finish waits for the program's end. Where the caller's own stream failed, that is
// the reason; else the program's complaint tells more than a broken pipe does.
func (x *execution) finish(path string, complaints io.Reader, copied error) error {
	text, _ := io.ReadAll(io.LimitReader(complaints, 4096))
	exit, err := x.Wait()
	message := strings.TrimSpace(string(bytes.ToValidUTF8(text, nil)))
	switch {
	case err != nil:
		return err
	case copied != nil && !errors.Is(copied, unix.EPIPE):
		return fmt.Errorf("copy %s: %w", path, copied)
	case exit == runtime.Exit{}:
		return nil
	case exit.Code == tarcopy.ExitNotFound:
		return &api.Error{Code: api.NotFound, Message: message, Next: "check the path in the container"}
	case message != "":
		return &api.Error{Code: api.Invalid, Message: message, Next: "choose a path that the container can hold"}
	}
	return fmt.Errorf("copy %s: the copying program ended with code %d", path, exit.Code)
}
