// Package runtime is the seam between the agent's supervision and what executes
// programs in its sandbox: runsc beside a gVisor sandbox, Linux itself inside a VM.
//
// A runtime never restarts, probes or logs; that is the agent's part.
package runtime

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/fileset"
)

// Runtime executes containers in the one sandbox that the agent supervises.
type Runtime interface {
	// Prepare is called once with the workload, before any container: hostname,
	// volumes, limits.
	Prepare(ctx context.Context, w *agentpb.Workload) error
	// Resize changes the limit of memory that Prepare was given, for what runs and what will,
	// where the runtime keeps to that limit. Where more is in use it changes nothing, and
	// fails with Exhausted (api.Error).
	Resize(ctx context.Context, memory api.Bytes) error
	// SetFiles makes the files all that a volume with Files shows, at once for its readers. It
	// may come before Prepare, and at any time after. Calls for one volume do not overlap.
	SetFiles(ctx context.Context, volume string, files []fileset.File) error
	// Start makes and starts one attempt of a container. On an error nothing of it
	// is left. The runtime duplicates the files it needs of stdio.
	Start(ctx context.Context, c *agentpb.Container, stdio Stdio) (Process, error)
	// Exec starts one more program in a running container.
	Exec(ctx context.Context, container string, e *agentpb.ExecStart, stdio Stdio) (Process, error)
	// Dial connects to a TCP port as a program inside would (see Localhost).
	Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	// Try tries from inside whether a port can be reached (package reach).
	Try(ctx context.Context, udp bool, to netip.AddrPort, wait time.Duration) (result, detail string, err error)
	// CopyOut writes a tar of path (its base name first, as tar -C dir base) to w;
	// CopyIn unpacks a tar below the directory path. Neither needs anything of the
	// image, and neither can leave the container.
	CopyOut(ctx context.Context, container, path string, w io.Writer) error
	CopyIn(ctx context.Context, container, path string, r io.Reader) error
	// Stats tells what the containers that are started and not deleted use now.
	Stats(ctx context.Context) (*agentpb.StatsResponse, error)
	// Settle is called once every program has ended for good: what the disks of the
	// workload shall keep is on them when it returns, whatever becomes of the sandbox.
	Settle() error
	// Lost is closed when the sandbox itself has died; Cause then says why.
	Lost() <-chan struct{}
	Cause() Loss
}

// Localhost is a port of 127.0.0.1, or else of ::1: an address that is not valid.
func Localhost(port uint16) netip.AddrPort { return netip.AddrPortFrom(netip.Addr{}, port) }

// Process is a started program: a container's main one, or an exec's.
type Process interface {
	// Wait returns when the program has ended. It may be called once.
	Wait() (Exit, error)
	// Signal sends a signal to the program; with all, to everything in its container.
	Signal(ctx context.Context, signal int, all bool) error
	// Delete frees what is left of an ended container; nothing for an exec.
	Delete(ctx context.Context) error
}

// Exit is how a program ended.
type Exit struct {
	// Code is 128 plus the signal for a program that a signal ended.
	Code   int
	Signal int
	// OOMKilled: the kernel ended it for want of memory.
	OOMKilled bool
	// LastWords are what a main program has written into its container's file for them.
	LastWords string
}

// Stdio is what a program gets as its standard streams. With a terminal,
// Terminal is the program's end of it and the others are nil.
type Stdio struct {
	Stdin, Stdout, Stderr *os.File
	Terminal              *os.File
}

// Loss is why a sandbox died.
type Loss struct {
	OOMKilled bool
	// Message in words, with the last lines of its log where they help.
	Message string
}
