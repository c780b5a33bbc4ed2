package qemu

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// controlSocket is the name of the socket of QEMU's control.
const controlSocket = "control"

// maxAnswers is what one connection takes in, in bytes: a QEMU that was taken over may
// never end an answer.
const maxAnswers = 16 << 20

// qmp is a connection to QEMU's control: one JSON object a line, see QEMU's
// docs/interop/qmp-spec.
type qmp struct {
	conn *net.UnixConn
	in   *json.Decoder
}

// reply is what QEMU says: a greeting, an event, or the answer to a command.
type reply struct {
	Greeting json.RawMessage `json:"QMP"`
	Event    string          `json:"event"`
	Return   json.RawMessage `json:"return"`
	Error    *struct {
		Desc string `json:"desc"`
	} `json:"error"`
}

// dialQMP connects and leaves the mode in which only capabilities are agreed on. QEMU
// serves one connection at a time; another waits.
func dialQMP(ctx context.Context, path string) (*qmp, error) {
	conn, err := dialSocket(ctx, path)
	if err != nil {
		return nil, err
	}
	q := &qmp{conn: conn.(*net.UnixConn), in: json.NewDecoder(io.LimitReader(conn, maxAnswers))}
	if err := q.greet(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return q, nil
}

func (q *qmp) greet(ctx context.Context) error {
	defer q.until(ctx)()
	var r reply
	if err := q.in.Decode(&r); err != nil {
		return q.failed(ctx, err)
	}
	_, err := q.run(ctx, "qmp_capabilities", nil)
	return err
}

func (q *qmp) close() { q.conn.Close() }

// until breaks off what waits when ctx ends.
func (q *qmp) until(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { q.conn.SetDeadline(time.Unix(1, 0)) })
}

// failed is the error of a connection that may have been broken off.
func (q *qmp) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// run runs a command and returns its answer; events are passed over.
func (q *qmp) run(ctx context.Context, command string, arguments any) (json.RawMessage, error) {
	return q.runWith(ctx, command, arguments, nil)
}

// sendFile gives QEMU a file, as the set of descriptors with that number.
func (q *qmp) sendFile(ctx context.Context, set int, file *os.File) error {
	_, err := q.runWith(ctx, "add-fd", map[string]any{"fdset-id": set}, unix.UnixRights(int(file.Fd())))
	return err
}

// runWith runs a command that comes with a control message of the socket.
func (q *qmp) runWith(ctx context.Context, command string, arguments any, rights []byte) (json.RawMessage, error) {
	defer q.until(ctx)()
	request := map[string]any{"execute": command}
	if arguments != nil {
		request["arguments"] = arguments
	}
	data, err := json.Marshal(request)
	if err == nil {
		_, _, err = q.conn.WriteMsgUnix(append(data, '\n'), rights, nil)
	}
	for err == nil {
		var r reply
		switch err = q.in.Decode(&r); {
		case err != nil:
		case r.Error != nil:
			return nil, fmt.Errorf("QEMU: %s: %s", command, r.Error.Desc)
		case r.Return != nil:
			return r.Return, nil
		}
	}
	return nil, fmt.Errorf("QEMU: %s: %w", command, q.failed(ctx, err))
}

// nodes are the names of everything that can be behind a disk.
func (q *qmp) nodes(ctx context.Context) (map[string]bool, error) {
	answer, err := q.run(ctx, "query-named-block-nodes", map[string]any{"flat": true})
	if err != nil {
		return nil, err
	}
	var list []struct {
		Name string `json:"node-name"`
	}
	if err := json.Unmarshal(answer, &list); err != nil {
		return nil, fmt.Errorf("QEMU: query-named-block-nodes: %w", err)
	}
	names := map[string]bool{}
	for _, node := range list {
		names[node.Name] = true
	}
	return names, nil
}

// status is what QEMU says of its guest: see RunState in QEMU's qapi/run-state.json.
func (q *qmp) status(ctx context.Context) (string, error) {
	answer, err := q.run(ctx, "query-status", nil)
	if err != nil {
		return "", err
	}
	var s struct{ Status string }
	if err := json.Unmarshal(answer, &s); err != nil {
		return "", fmt.Errorf("QEMU: query-status: %w", err)
	}
	return s.Status, nil
}

// migrated waits until the state of the VM has been written.
func (q *qmp) migrated(ctx context.Context) error {
	const again = 5 * time.Millisecond
	for {
		answer, err := q.run(ctx, "query-migrate", nil)
		if err != nil {
			return err
		}
		var m struct {
			Status string
			Desc   string `json:"error-desc"`
		}
		if err := json.Unmarshal(answer, &m); err != nil {
			return fmt.Errorf("QEMU: query-migrate: %w", err)
		}
		switch m.Status {
		case "completed":
			return nil
		case "failed", "cancelled":
			return fmt.Errorf("QEMU: migrate: %s %s", m.Status, m.Desc)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(again):
		}
	}
}
