package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"
	"time"
)

// qmp is a connection to QEMU's control: one JSON object a line, see QEMU's
// docs/interop/qmp-spec.
type qmp struct {
	conn net.Conn
	in   *json.Decoder
}

// reply is what QEMU says: a greeting, an event, or the answer to a command.
type reply struct {
	Greeting json.RawMessage `json:"QMP"`
	Event    string          `json:"event"`
	Return   json.RawMessage `json:"return"`
	Error    *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
}

// dialQMP connects and leaves the mode in which only capabilities are agreed on. QEMU
// serves one connection at a time; another waits.
func dialQMP(ctx context.Context, path string) (*qmp, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	q := &qmp{conn: conn, in: json.NewDecoder(conn)}
	var r reply
	stop := q.until(ctx)
	defer stop()
	if err = q.in.Decode(&r); err == nil {
		_, err = q.run(ctx, "qmp_capabilities", nil)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return q, nil
}

func (q *qmp) close() { q.conn.Close() }

// until breaks off what waits when ctx ends.
func (q *qmp) until(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { q.conn.SetDeadline(time.Unix(1, 0)) })
}

// run runs a command and returns its answer; events are passed over.
func (q *qmp) run(ctx context.Context, command string, arguments any) (json.RawMessage, error) {
	defer q.until(ctx)()
	request := map[string]any{"execute": command}
	if arguments != nil {
		request["arguments"] = arguments
	}
	if err := json.NewEncoder(q.conn).Encode(request); err != nil {
		return nil, fmt.Errorf("qmp %s: %w", command, err)
	}
	for {
		var r reply
		if err := q.in.Decode(&r); err != nil {
			return nil, fmt.Errorf("qmp %s: %w", command, err)
		}
		if r.Error != nil {
			return nil, fmt.Errorf("qmp %s: %s", command, r.Error.Desc)
		}
		if r.Return != nil {
			return r.Return, nil
		}
	}
}

// control runs one command without an answer in a sandbox's QEMU.
func (m *Machine) control(ctx context.Context, id, command string) error {
	if err := checkID(id); err != nil {
		return err
	}
	q, err := dialQMP(ctx, m.controlSocket(id))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return absent(id, err)
	}
	if err != nil {
		return fmt.Errorf("control sandbox %s: %w", id, err)
	}
	defer q.close()
	if _, err := q.run(ctx, command, nil); err != nil {
		return fmt.Errorf("control sandbox %s: %w", id, err)
	}
	return nil
}

// console reads the last of what the guest's kernel has printed.
func (m *Machine) console(ctx context.Context, id string) (string, error) {
	q, err := dialQMP(ctx, m.controlSocket(id))
	if err != nil {
		return "", err
	}
	defer q.close()
	answer, err := q.run(ctx, "ringbuf-read", map[string]any{"device": "console", "size": consoleSize})
	if err != nil {
		return "", err
	}
	var text string
	err = json.Unmarshal(answer, &text)
	return text, err
}
