package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"cis/internal/agent/tarcopy"
	"cis/internal/osthread"
)

func TestHold(t *testing.T) {
	var out bytes.Buffer
	var name unix.Utsname
	err := osthread.Do(func() error {
		if err := unix.Unshare(unix.CLONE_NEWUTS); err != nil {
			return err
		}
		if err := hold(strings.NewReader(`{"id": 1, "hostname": "first"} {"id": 2, "hostname": "second"} {"id": 3, "hostname": "`+strings.Repeat("x", 100)+`"}`), &out); err != nil {
			return err
		}
		return unix.Uname(&name)
	})
	want := `{"id":1}` + "\n" + `{"id":2}` + "\n" + `{"id":3,"error":"invalid argument"}` + "\n"
	if err != nil || out.String() != want || unix.ByteSliceToString(name.Nodename[:]) != "second" {
		t.Errorf("%q %q %v", out.String(), name.Nodename, err)
	}
}

func TestExitCode(t *testing.T) {
	if code := exitCode(run([]string{"pack", "/nowhere"})); code != tarcopy.ExitNotFound {
		t.Error(code)
	}
	for _, args := range [][]string{{"help"}, {"pack"}, {"dial", "http"}, {"dial", "70000"}} {
		if code := exitCode(run(args)); code != 1 {
			t.Errorf("%v: %d", args, code)
		}
	}
}

// TestDial joins a socket with a server on each family; the client ends its
// direction first.
func TestDial(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		server, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		go func() {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			got, _ := io.ReadAll(conn)
			fmt.Fprintf(conn, "got %s", got)
		}()
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := os.NewFile(uintptr(fds[0]), ""), os.NewFile(uintptr(fds[1]), "")
		var word bytes.Buffer
		done := make(chan error, 1)
		go func() {
			_, port, _ := net.SplitHostPort(server.Addr().String())
			done <- dial(port, theirs, &word)
			theirs.Close()
		}()
		io.WriteString(ours, "hello")
		unix.Shutdown(fds[0], unix.SHUT_WR)
		answer, err := io.ReadAll(ours)
		if err != nil || string(answer) != "got hello" || <-done != nil || word.String() != "ok\n" {
			t.Errorf("%s: %q %v", address, answer, err)
		}
		ours.Close()
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	if err := dial(strconv.Itoa(free.Addr().(*net.TCPAddr).Port), os.Stdin, io.Discard); err == nil {
		t.Error("a closed port was dialled")
	}
}
