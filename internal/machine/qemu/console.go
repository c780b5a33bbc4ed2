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

	"cis/internal/machine"
)

// Console implements machine.VMs: what the guest's kernel has printed, the last
// consoleSize bytes of it at most.
func (m *Machine) Console(ctx context.Context, id string) (string, error) {
	if err := machine.CheckID(id); err != nil {
		return "", err
	}
	text, err := m.console(ctx, id)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return "", absent(id, err)
	}
	if err != nil {
		return "", fmt.Errorf("read the console of sandbox %s: %w", id, err)
	}
	return text, nil
}

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
	text = text[max(0, len(text)-consoleSize):]
	return text, os.WriteFile(path, []byte(text), 0o600)
}

// tail is the end of a text, a few lines at most.
func tail(text string) string {
	const size = 2000
	text = strings.TrimSpace(strings.ToValidUTF8(text, ""))
	return text[max(0, len(text)-size):]
}
