package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// asCis makes the test binary be cis: signals and terminals need a process.
const asCis = "CIS_TEST_AS_CIS"

func TestMain(m *testing.M) {
	if os.Getenv(asCis) != "" {
		os.Exit(Main(context.Background(), os.Args[1:], Env{
			In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Version: "test",
		}))
	}
	os.Exit(m.Run())
}

// process is cis as a process of its own, with a terminal or with pipes.
type process struct {
	t        *testing.T
	cmd      *exec.Cmd
	out, err *syncBuffer
	read     int // how much of out was expected already
	terminal *os.File
	done     chan error
}

// start runs cis with pipes, or with a terminal of that size.
func (l *lab) start(size *pty.Winsize, args ...string) *process {
	l.t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asCis+"=1", "CIS_HOST="+l.host, "TERM=xterm", "NO_COLOR=")
	p := &process{t: l.t, cmd: cmd, out: &syncBuffer{}, err: &syncBuffer{}, done: make(chan error, 1)}
	if size == nil {
		cmd.Stdout, cmd.Stderr = p.out, p.err
		if err := cmd.Start(); err != nil {
			l.t.Fatal(err)
		}
	} else {
		var err error
		if p.terminal, err = pty.StartWithSize(cmd, size); err != nil {
			l.t.Fatal(err)
		}
		go io.Copy(p.out, p.terminal)
		l.t.Cleanup(func() { p.terminal.Close() })
	}
	go func() { p.done <- cmd.Wait() }()
	l.t.Cleanup(p.kill)
	return p
}

// expect waits for text in what came since the last one, and gives all up to it.
func (p *process) expect(text string) string {
	p.t.Helper()
	var found string
	if !eventually(func() bool {
		before, _, ok := strings.Cut(p.out.String()[p.read:], text)
		found = before + text
		return ok
	}) {
		p.t.Fatalf("there is no %q in %q; stderr %q", text, p.out.String()[p.read:], p.err.String())
	}
	p.read += len(found)
	return found
}

// eventually tells whether it holds, now or soon.
func eventually(holds func() bool) bool {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if holds() {
			return true
		}
	}
	return false
}

// code waits for the end.
func (p *process) code() int {
	p.t.Helper()
	select {
	case err := <-p.done:
		p.done <- err
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
			return exit.ExitCode()
		} else if err != nil {
			p.t.Errorf("cis ended with %v", err)
			return -1
		}
		return 0
	case <-time.After(time.Minute):
		p.t.Fatalf("cis does not end; stdout %q, stderr %q", p.out.String(), p.err.String())
		return -1
	}
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) kill() { _ = p.cmd.Process.Kill() }

func (p *process) keys(s string) {
	p.t.Helper()
	if _, err := p.terminal.WriteString(s); err != nil {
		p.t.Fatal(err)
	}
}

// raw tells whether the terminal hands keys on as they are.
func (p *process) raw() bool {
	p.t.Helper()
	state, err := unix.IoctlGetTermios(int(p.terminal.Fd()), unix.TCGETS)
	if err != nil {
		p.t.Fatal(err)
	}
	return state.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) == 0
}

func TestSignalStopsRun(t *testing.T) {
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		l := newLab(t)
		p := l.start(nil, "run", "--rm", "sleep")
		p.expect("sleeping\n")
		p.signal(s)
		if code := p.code(); code != 143 {
			t.Errorf("%v: code %d, stderr %q", s, code, p.err.String())
		}
	}
}

func TestSecondSignalKills(t *testing.T) {
	l := newLab(t)
	p := l.start(nil, "run", "stubborn")
	p.expect("sleeping\n")
	p.signal(os.Interrupt)
	p.expect("no\n")
	time.Sleep(signalEcho)
	p.signal(os.Interrupt)
	if code := p.code(); code != 137 {
		t.Errorf("code %d, stderr %q", code, p.err.String())
	}
}

// TestSignalBeforeStart: what is stopped before it ran leaves nothing.
func TestSignalBeforeStart(t *testing.T) {
	l := newLab(t)
	p := l.start(nil, "run", "pending")
	eventually(func() bool { return strings.Contains(p.err.String(), "pulling") })
	p.signal(os.Interrupt)
	if code := p.code(); code != 130 || p.err.String() != "cis: pulling image \"pending\"\n" {
		t.Errorf("code %d, stderr %q", code, p.err.String())
	}
	l.want(l.cis("", "ps", "-aq"), 0, "", "")
}

// TestSignalTwiceAtOnce: what sends a signal to a process and to its group asks
// for one stop, not for a kill.
func TestSignalTwiceAtOnce(t *testing.T) {
	l := newLab(t)
	p := l.start(nil, "run", "stubborn")
	p.expect("sleeping\n")
	p.signal(os.Interrupt)
	time.Sleep(time.Millisecond)
	p.signal(os.Interrupt)
	p.expect("no\n")
	time.Sleep(2 * signalEcho)
	if strings.Contains(p.out.String(), "no\nno\n") {
		t.Error("two stops")
	}
	p.signal(os.Interrupt)
	if code := p.code(); code != 137 {
		t.Errorf("code %d, stderr %q", code, p.err.String())
	}
}

var size80x24 = &pty.Winsize{Cols: 80, Rows: 24}

func TestTerminal(t *testing.T) {
	l := newLab(t)
	p := l.start(size80x24, "run", "-it", "tty")
	p.expect("size 80x24\r\n")
	if !p.raw() {
		t.Error("the terminal is not raw")
	}
	p.keys("\x03")
	p.expect(`key "\x03"`)
	if err := pty.Setsize(p.terminal, &pty.Winsize{Cols: 132, Rows: 50}); err != nil {
		t.Fatal(err)
	}
	p.expect("size 132x50\r\n")
	p.keys("x")
	if code := p.code(); code != 7 {
		t.Errorf("code %d", code)
	}
	if p.raw() {
		t.Error("the terminal was left raw")
	}
}

func TestDetach(t *testing.T) {
	l := newLab(t)
	p := l.start(size80x24, "run", "-it", "--name", "shell", "tty")
	p.expect("size 80x24\r\n")
	p.keys("a")
	p.expect(`key "a"`)
	p.keys("\x10b") // the first key alone is only late
	p.expect(`b"`)
	p.keys("\x10\x11")
	if code := p.code(); code != 0 {
		t.Errorf("code %d", code)
	}
	if p.raw() {
		t.Error("the terminal was left raw")
	}
	if strings.Contains(p.out.String(), `\x11`) {
		t.Error("the program got the detach keys")
	}
	again := l.start(size80x24, "attach", "shell")
	again.expect("size 80x24\r\n")
	again.keys("x")
	if code := again.code(); code != 7 {
		t.Errorf("code %d", code)
	}
}

// TestTerminalSignal: SIGTERM in raw mode puts the terminal back.
func TestTerminalSignal(t *testing.T) {
	l := newLab(t)
	l.want(l.cis("", "run", "-d", "--name", "web", "sleep"), 0, "web\n", "")
	p := l.start(size80x24, "exec", "-it", "web", "size")
	p.expect("80x24")
	if code := p.code(); code != 0 {
		t.Errorf("code %d", code)
	}
	p = l.start(size80x24, "exec", "-it", "web", "hang")
	eventually(p.raw)
	p.signal(syscall.SIGTERM)
	if code := p.code(); code != exitInterrupted {
		t.Errorf("code %d", code)
	}
	if p.raw() {
		t.Error("the terminal was left raw")
	}
}

// TestProgressLine: on a terminal the line about the start is gone before the
// first output.
func TestProgressLine(t *testing.T) {
	l := newLab(t)
	p := l.start(size80x24, "run", "slow")
	if code := p.code(); code != 0 {
		t.Errorf("code %d", code)
	}
	p.expect("up\r\n")
	out := p.out.String()
	if !strings.Contains(out, "Pulling: pulling image \"slow\"") || !strings.Contains(out, "\r\x1b[Kup\r\n") {
		t.Errorf("%q", out)
	}
}

func TestColorOnTerminalOnly(t *testing.T) {
	l := newLab(t)
	l.want(l.cis("", "run", "-d", "--name", "web", "sleep"), 0, "web\n", "")
	p := l.start(size80x24, "ps")
	p.code()
	p.expect("\x1b[1mNAME\x1b[0m")
	r := l.cisEnv(map[string]string{"TERM": "xterm"}, "", "ps")
	if strings.Contains(r.out, "\x1b") {
		t.Errorf("%q", r.out)
	}
}
