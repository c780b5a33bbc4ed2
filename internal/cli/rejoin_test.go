package cli

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"cis/api"
	"cis/client"
)

// breaks are the ways to lose a server.
var breaks = map[string]func(*lab){
	"stopped": func(l *lab) { l.down() },
	"crashed": func(l *lab) { l.crash() },
}

// TestRunOverARestart: the output goes on where it broke off, on both streams.
func TestRunOverARestart(t *testing.T) {
	for name, lose := range breaks {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			p := l.start(nil, "run", "--name", "web", "other")
			print := func(stream int, text string) {
				t.Helper()
				if err := l.engine.Print("web", stream, text); err != nil {
					t.Fatal(err)
				}
			}
			p.expectInstance(l, "web")
			want, wantErr := "", ""
			for _, word := range []string{"one", "two", "three"} {
				print(1, word+" seen\n")
				p.expect(word + " seen\n")
				lose(l)
				print(1, word+" missed\n")
				print(2, word+" complaint\n")
				l.up()
				p.expect(word + " missed\n")
				want += word + " seen\n" + word + " missed\n"
				wantErr += word + " complaint\n"
			}
			if err := l.engine.Finish("web", 4); err != nil {
				t.Fatal(err)
			}
			if code := p.code(); code != 4 || p.out.String() != want || p.err.String() != wantErr {
				t.Errorf("code %d, stdout %q, stderr %q", code, p.out.String(), p.err.String())
			}
		})
	}
}

// TestRunEndsInARestart: an end that nobody saw gives its code.
func TestRunEndsInARestart(t *testing.T) {
	for _, policy := range []string{"no", "on-failure"} {
		l := newLab(t)
		p := l.start(nil, "run", "--restart", policy, "--name", "web", "other")
		p.expectInstance(l, "web")
		_ = l.engine.Print("web", 1, "up\n")
		p.expect("up\n")
		l.crash()
		_ = l.engine.Finish("web", 9)
		l.up()
		if code := p.code(); code != 9 || p.out.String() != "up\n" {
			t.Errorf("%s: code %d, stdout %q, stderr %q", policy, code, p.out.String(), p.err.String())
		}
	}
}

// TestRestartingProgramOverARestart: what a replay would not continue is not
// replayed, and told.
func TestRestartingProgramOverARestart(t *testing.T) {
	l := newLab(t)
	p := l.start(nil, "run", "--restart", "always", "--name", "web", "other")
	p.expectInstance(l, "web")
	_ = l.engine.Print("web", 1, "before\n")
	p.expect("before\n")
	l.down()
	_ = l.engine.Print("web", 1, "missed\n")
	l.up()
	eventually(func() bool { return strings.Contains(p.err.String(), "cis logs web") })
	_ = l.engine.Print("web", 1, "after\n")
	p.expect("after\n")
	if got := p.out.String(); got != "before\nafter\n" || strings.Count(p.err.String(), "cis: cisd was away") != 1 {
		t.Errorf("stdout %q, stderr %q", got, p.err.String())
	}
}

// TestTerminalOverARestart: keys reach the program on the next connection, and
// the detach keys still leave.
func TestTerminalOverARestart(t *testing.T) {
	for name, lose := range breaks {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			p := l.start(size80x24, "run", "-it", "--name", "web", "shell")
			p.expectInstance(l, "web")
			p.keys("a")
			p.expect("A")
			lose(l)
			l.up()
			// A key on its way as the connection breaks is lost.
			eventually(func() bool {
				p.keys("b")
				time.Sleep(20 * time.Millisecond)
				return strings.Contains(p.out.String(), "B")
			})
			p.expect("B")
			p.keys("c\x10\x11")
			if code := p.code(); code != 0 || p.raw() {
				t.Errorf("code %d, raw %v", code, p.raw())
			}
			if out := p.out.String(); strings.Count(out, "A") != 1 {
				t.Errorf("%q", out)
			}
		})
	}
}

// TestPipedInputIsNotContinued: what was on its way is lost, and cis says so.
func TestPipedInputIsNotContinued(t *testing.T) {
	l := newLab(t)
	p := l.start(nil, "run", "-i", "--name", "web", "sleep")
	p.expect("sleeping\n")
	l.crash()
	l.up()
	if code := p.code(); code != exitCis || !strings.Contains(p.err.String(), "web may still run") {
		t.Errorf("code %d, stderr %q", code, p.err.String())
	}
}

// TestRunGivesUp on a server that stays away.
func TestRunGivesUp(t *testing.T) {
	l := newLab(t)
	a := &app{Env: Env{Out: io.Discard, Err: io.Discard, Getenv: func(string) string { return "" }}, host: l.host}
	r, err := a.newRunner(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	r.patience = 300 * time.Millisecond
	if err := r.create(api.CreateInstance{InstanceSpec: api.InstanceSpec{Containers: []api.Container{{Image: "other"}}}}); err != nil {
		t.Fatal(err)
	}
	var lost time.Time
	_, err = r.attach(r.ctx, client.Streams{Started: func() { lost = time.Now(); go l.crash() }})
	if waited := time.Since(lost); !errors.Is(err, client.ErrDisconnected) || waited < r.patience || waited > 5*time.Second {
		t.Errorf("got %v after %v", err, waited)
	}
	if err := r.failed(err); !strings.Contains(err.Error(), "may still run") {
		t.Errorf("got %v", err)
	}
}

func TestOutputSkips(t *testing.T) {
	var b bytes.Buffer
	o := newOutput(&b)
	for _, p := range []string{"abc", "de"} {
		if n, err := o.Write([]byte(p)); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
	}
	o.skip = o.written
	for _, p := range []string{"ab", "cdef", "g"} {
		if n, err := o.Write([]byte(p)); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
	}
	if b.String() != "abcdefg" || o.written != 7 {
		t.Errorf("%q, %d", b.String(), o.written)
	}
}

// expectInstance waits until the program is joined.
func (p *process) expectInstance(l *lab, name string) {
	p.t.Helper()
	if !eventually(func() bool { _, err := l.engine.Get(p.t.Context(), name); return err == nil }) {
		p.t.Fatalf("there is no %s; stderr %q", name, p.err.String())
	}
}
