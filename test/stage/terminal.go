package stage

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/creack/pty"
)

// Terminal is a command with a terminal, and what is to be read there.
type Terminal struct {
	keys *os.File
	cmd  *exec.Cmd

	mu  sync.Mutex
	out bytes.Buffer
}

// OpenTerminal starts the command at a terminal of 24 rows and 80 columns.
func OpenTerminal(cmd *exec.Cmd) (*Terminal, error) {
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "TERM=xterm")
	keys, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		return nil, fmt.Errorf("open terminal: %w", err)
	}
	t := &Terminal{keys: keys, cmd: cmd}
	go t.read()
	return t, nil
}

func (t *Terminal) read() {
	buf := make([]byte, 4096)
	for {
		n, err := t.keys.Read(buf)
		t.mu.Lock()
		t.out.Write(buf[:n])
		t.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Close hangs up.
func (t *Terminal) Close() { t.keys.Close() }

// Screen is all that was written so far.
func (t *Terminal) Screen() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.out.String()
}

// Type sends keys.
func (t *Terminal) Type(keys string) error {
	_, err := t.keys.WriteString(keys)
	return err
}

// Resize changes the size of the window.
func (t *Terminal) Resize(rows, columns uint16) error {
	return pty.Setsize(t.keys, &pty.Winsize{Rows: rows, Cols: columns})
}

// Await waits for a text on the screen.
func (t *Terminal) Await(text string) error {
	deadline := time.Now().Add(patience)
	for !strings.Contains(t.Screen(), text) {
		if time.Now().After(deadline) {
			return fmt.Errorf("no %q on the screen:\n%q", text, t.Screen())
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

// Exit waits for the command's end and gives the exit code.
func (t *Terminal) Exit() int {
	_ = t.cmd.Wait() // the exit code is what counts
	return t.cmd.ProcessState.ExitCode()
}
