package runsc

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Methods of the sandbox's control server.
const (
	methodCreate    = "containerManager.CreateSubcontainer"
	methodStart     = "containerManager.StartSubcontainer"
	methodWait      = "containerManager.Wait"
	methodWaitPID   = "containerManager.WaitPID"
	methodExec      = "containerManager.ExecuteAsync"
	methodSignal    = "containerManager.Signal"
	methodDestroy   = "containerManager.DestroySubcontainer"
	methodProcesses = "containerManager.Processes"
	methodCounters  = "Cgroups.ReadControlFiles"
)

// remoteError is a refusal of the sandbox itself, in its words.
type remoteError string

func (e remoteError) Error() string { return string(e) }

// control calls a sandbox's control server, over one connection a call, so that
// calls that wait do not hold others up.
type control struct {
	socket string
}

// call runs one method; files travel with the request and stay the caller's.
// The end of ctx ends the waiting, not what the sandbox has begun.
func (c control) call(ctx context.Context, method string, arg, result any, files ...*os.File) error {
	if err := c.roundTrip(ctx, method, arg, result, files); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}

func (c control) roundTrip(ctx context.Context, method string, arg, result any, files []*os.File) error {
	var dialer net.Dialer
	stream, err := dialer.DialContext(ctx, "unix", c.socket)
	if err != nil {
		return err
	}
	conn := stream.(*net.UnixConn)
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	request, err := json.Marshal(map[string]any{"method": method, "arg": arg})
	if err != nil {
		return err
	}
	if err := send(conn, request, files); err != nil {
		return err
	}
	answer := struct {
		Success bool   `json:"success"`
		Err     string `json:"err"`
		Result  any    `json:"result"`
	}{Result: result}
	if err := json.NewDecoder(conn).Decode(&answer); err != nil {
		return err
	}
	if !answer.Success {
		return remoteError(answer.Err)
	}
	return nil
}

// send writes the request; the files go with its first part.
func send(conn *net.UnixConn, request []byte, files []*os.File) error {
	fds := make([]int, len(files))
	for i, file := range files {
		fds[i] = int(file.Fd())
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	n, _, err := conn.WriteMsgUnix(request, rights, nil)
	runtime.KeepAlive(files)
	if err != nil {
		return err
	}
	_, err = conn.Write(request[n:])
	return err
}
