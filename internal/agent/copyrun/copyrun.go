// Package copyrun is the agent's side of copying into and out of a container: it
// talks to the copying program, cis-pause, which a runtime starts in there.
//
// It never looks at a path itself; what one means is the container's matter
// (package tarcopy).
package copyrun

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"cis/api"
	"cis/internal/agent/runtime"
	"cis/internal/agent/tarcopy"
)

// Capabilities are what the copying program needs to read and write every file as
// it is.
var Capabilities = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_MKNOD",
}

// Starter starts cis-pause in the container as root, in /, with these arguments and
// Capabilities.
type Starter func(ctx context.Context, args []string, stdin, stdout, stderr *os.File) (runtime.Process, error)

// Out writes a tar of path to w.
func Out(ctx context.Context, start Starter, path string, w io.Writer) error {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	output, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	defer output.Close()
	run, err := begin(ctx, start, "pack", path, null, theirs)
	theirs.Close()
	if err != nil {
		return err
	}
	_, err = io.Copy(w, output)
	// Without a reader the program ends by itself.
	output.Close()
	return run.finish(err)
}

// In unpacks a tar from r below path.
func In(ctx context.Context, start Starter, path string, r io.Reader) error {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	theirs, input, err := os.Pipe()
	if err != nil {
		return err
	}
	defer input.Close()
	run, err := begin(ctx, start, "unpack", path, theirs, null)
	theirs.Close()
	if err != nil {
		return err
	}
	_, err = io.Copy(input, r)
	input.Close()
	return run.finish(err)
}

// copyRun is cis-pause at work in a container.
type copyRun struct {
	process   runtime.Process
	path      string
	complaint *os.File
	stop      func() bool
}

func begin(ctx context.Context, start Starter, verb, path string, stdin, stdout *os.File) (*copyRun, error) {
	complaint, stderr, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stderr.Close()
	p, err := start(ctx, []string{verb, path}, stdin, stdout, stderr)
	if err != nil {
		complaint.Close()
		return nil, fmt.Errorf("%s %s: %w", verb, path, err)
	}
	stop := context.AfterFunc(ctx, func() { p.Signal(context.Background(), int(unix.SIGKILL), false) })
	return &copyRun{process: p, path: path, complaint: complaint, stop: stop}, nil
}

// finish waits for the program's end. Where the caller's own stream failed, that is
// the reason; else the program's complaint tells more than a broken pipe does.
func (r *copyRun) finish(copied error) error {
	defer r.complaint.Close()
	defer r.stop()
	text, _ := io.ReadAll(io.LimitReader(r.complaint, 4096))
	exit, err := r.process.Wait()
	message := strings.TrimSpace(string(bytes.ToValidUTF8(text, nil)))
	switch {
	case err != nil:
		return err
	case copied != nil && !errors.Is(copied, unix.EPIPE):
		return fmt.Errorf("copy %s: %w", r.path, copied)
	case exit == runtime.Exit{}:
		return nil
	case exit.Code == tarcopy.ExitNotFound:
		return &api.Error{Code: api.NotFound, Message: message, Next: "check the path in the container"}
	case message != "":
		return &api.Error{Code: api.Invalid, Message: message, Next: "choose a path that the container can hold"}
	}
	return fmt.Errorf("copy %s: the copying program ended with code %d", r.path, exit.Code)
}
