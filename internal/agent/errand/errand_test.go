package errand

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cis/internal/agent/fileset"
	"cis/internal/agent/lastwords"
)

// open is a client whose server is in this process; end ends that.
func open(t *testing.T) (c *Client, end func()) {
	in, requests := io.Pipe()
	answers, out := io.Pipe()
	served := make(chan error, 1)
	go func() {
		served <- Serve(in, out)
		out.Close()
	}()
	end = sync.OnceFunc(func() {
		requests.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	return NewClient(requests, answers), end
}

func TestErrands(t *testing.T) {
	c, end := open(t)
	dir := t.TempDir()
	files := []fileset.File{{Path: "a/b", Mode: 0o640, Group: uint32(os.Getgid()), Data: []byte{0, 1, 255}}}
	if err := c.Publish(t.Context(), dir, files); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "a/b")); err != nil || string(got) != string(files[0].Data) {
		t.Errorf("%q %v", got, err)
	}
	if err := c.Publish(t.Context(), dir+"/none", files); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a directory that is not there: %v", err)
	}
	words := filepath.Join(dir, "words")
	if err := lastwords.Make(words); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(words, []byte("the end\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Words(t.Context(), words); err != nil || got != "the end\n" {
		t.Errorf("%q %v", got, err)
	}
	if _, err := os.Stat(words); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the words are still there: %v", err)
	}
	end()
	if _, err := c.Words(t.Context(), words); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("after the end: %v", err)
	}
}

// TestListen: many launches at once, each with words of its own or none, among them some
// that nobody waits for any more.
func TestListen(t *testing.T) {
	c, _ := open(t)
	dir := t.TempDir()
	var all sync.WaitGroup
	for i := range 20 {
		pipe := filepath.Join(dir, string(rune('a'+i)))
		want := strings.Repeat("x", i%3)
		all.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%5 == 0 {
				time.AfterFunc(50*time.Millisecond, cancel)
			} else {
				all.Go(func() { report(t, pipe, want) })
			}
			got, err := c.Listen(ctx, pipe)
			if i%5 == 0 {
				if !errors.Is(err, context.Canceled) {
					t.Errorf("nobody came: %q %v", got, err)
				}
			} else if err != nil || got != want {
				t.Errorf("%q %v, want %q", got, err, want)
			}
		})
	}
	all.Wait()
	for range 6000 { // those that were dismissed clear up behind themselves
		if left, _ := os.ReadDir(dir); len(left) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("pipes are left")
}

// report says it as a launcher does.
func report(t *testing.T, pipe, words string) {
	for {
		out, err := os.OpenFile(pipe, os.O_WRONLY, 0)
		if errors.Is(err, os.ErrNotExist) {
			time.Sleep(time.Millisecond)
			continue
		}
		if err != nil {
			t.Error(err)
			return
		}
		_, err = io.WriteString(out, words)
		if err := errors.Join(err, out.Close()); err != nil {
			t.Error(err)
		}
		return
	}
}

func TestTry(t *testing.T) {
	c, _ := open(t)
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to := netip.MustParseAddrPort(server.Addr().String())
	if result, detail, err := c.Try(t.Context(), false, to, time.Second); err != nil || result != "connected" || detail != "" {
		t.Errorf("%q %q %v", result, detail, err)
	}
	server.Close()
	if result, detail, err := c.Try(t.Context(), false, to, time.Second); err != nil || result != "refused" || detail != "connection refused" {
		t.Errorf("%q %q %v", result, detail, err)
	}
}

// TestGarbage: a sandbox in other hands cannot make the agent wait, or fill its memory.
func TestGarbage(t *testing.T) {
	for _, said := range []string{"nonsense\n", strings.Repeat("x", 2*maxAnswer), `{"id": "one"}` + "\n", `{"id": 77}` + "\n"} {
		c := NewClient(io.Discard, strings.NewReader(said))
		if err := c.SetHostname(t.Context(), "web"); err == nil {
			t.Errorf("%.20q was an answer", said)
		}
	}
}
