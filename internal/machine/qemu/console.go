package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"cis/internal/agent/guest"
	"cis/internal/machine"
)

// Console implements machine.VMs: the log of the guest's kernel, which has the boot of a
// template too, unless the guest does not answer; and what else came to its console. It is
// the last consoleSize bytes of that at most.
func (m *Machine) Console(ctx context.Context, id string) (string, error) {
	if err := machine.CheckID(id); err != nil {
		return "", err
	}
	console, err := m.console(ctx, id)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return "", absent(id, err)
	}
	if err != nil {
		return "", fmt.Errorf("read the console of sandbox %s: %w", id, err)
	}
	log := m.kernelLog(ctx, id)
	return lastBytes(log + besides(log, console)), nil
}

// kernelLog asks the guest for its kernel's log: "" if it does not say.
func (m *Machine) kernelLog(ctx context.Context, id string) string {
	ctx, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	a, err := (&vm{m: m, id: id}).answer(ctx, guest.Request{Time: time.Now(), Log: true})
	if err != nil {
		return ""
	}
	return a.Log // JSON has made valid text of it
}

// besides are the lines of a console that are not in the kernel's log. What the kernel finds
// important is in both.
func besides(log, console string) string {
	logged := map[string]bool{}
	for line := range strings.Lines(log) {
		logged[line] = true
	}
	var rest strings.Builder
	for line := range strings.Lines(console) {
		if !logged[line] {
			rest.WriteString(line)
		}
	}
	return rest.String()
}

// lastBytes are those of a console's text that are kept.
func lastBytes(text string) string { return text[max(0, len(text)-consoleSize):] }

// console takes what QEMU holds, which gives everything once, and keeps it in a file
// for whoever asks next.
func (m *Machine) console(ctx context.Context, id string) (string, error) {
	unlock, err := m.consoles.Lock(ctx, id)
	if err != nil {
		return "", err
	}
	defer unlock()
	q, err := dialQMP(ctx, m.socket(id, controlSocket))
	if err != nil {
		return "", err
	}
	defer q.close()
	// As text QEMU would give it only up to the first zero byte.
	answer, err := q.run(ctx, "ringbuf-read", map[string]any{"device": "console", "size": consoleSize, "format": "base64"})
	if err != nil {
		return "", err
	}
	var fresh []byte
	if err := json.Unmarshal(answer, &fresh); err != nil {
		return "", err
	}
	path := filepath.Join(m.dir(id), "console.log")
	before, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	text := string(before) + strings.ToValidUTF8(strings.ReplaceAll(string(fresh), "\r\n", "\n"), "�")
	text = lastBytes(text)
	return text, os.WriteFile(path, []byte(text), 0o600)
}

// tail is the end of a text, a few lines at most.
func tail(text string) string {
	const size = 2000
	text = strings.TrimSpace(strings.ToValidUTF8(text, ""))
	return text[max(0, len(text)-size):]
}
