package runtimetest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cis/internal/agent/runtime"
)

// OpenPty gives both ends of a terminal.
func OpenPty(t testing.TB) (ours, theirs *os.File) {
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(ours.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(ours.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close() })
	return ours, theirs
}

// Screen collects what appears on a terminal.
type Screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// WatchScreen collects what appears on a terminal from now on.
func WatchScreen(from io.Reader) *Screen {
	s := &Screen{}
	go func() {
		chunk := make([]byte, 1024)
		for {
			n, err := from.Read(chunk)
			s.mu.Lock()
			s.text.Write(chunk[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return s
}

// Shows waits until a text has appeared.
func (s *Screen) Shows(t testing.TB, want string) {
	t.Helper()
	var text string
	for range 300 {
		s.mu.Lock()
		text = s.text.String()
		s.mu.Unlock()
		if strings.Contains(text, want) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("the terminal shows %q, not %q", text, want)
}

// Session types into a shell on a terminal: its size, a change of it, and Ctrl-C.
func Session(t testing.TB, start func(runtime.Stdio) (runtime.Process, error)) {
	t.Helper()
	ours, theirs := OpenPty(t)
	unix.IoctlSetWinsize(int(ours.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80})
	p, err := start(runtime.Stdio{Terminal: theirs})
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	seen := WatchScreen(ours)
	io.WriteString(ours, "test -t 0 && stty size\n")
	seen.Shows(t, "24 80")
	io.WriteString(ours, "sh -c 'trap \"stty size; exit\" WINCH; echo begun; while :; do sleep 0.1; done'\n")
	seen.Shows(t, "\nbegun")
	unix.IoctlSetWinsize(int(ours.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 30, Col: 100})
	seen.Shows(t, "30 100")
	// Ctrl-C ends what runs in the foreground, not the shell.
	io.WriteString(ours, "echo begin; sleep 1000\n")
	seen.Shows(t, "\nbegin")
	time.Sleep(50 * time.Millisecond)
	io.WriteString(ours, "\x03echo code=$?; exit 6\n")
	seen.Shows(t, "code=130")
	if exit, err := p.Wait(); err != nil || exit.Code != 6 {
		t.Errorf("%+v %v", exit, err)
	}
}
