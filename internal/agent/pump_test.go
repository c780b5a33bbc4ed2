package agent

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestPumpAfterStandstill: what a program wrote before its end is taken even if this process
// did not run while it should have read it.
func TestPumpAfterStandstill(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close() // something that the program left behind holds it
	if _, err := w.WriteString("the end"); err != nil {
		t.Fatal(err)
	}
	if err := r.SetReadDeadline(time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	alive, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got strings.Builder
	pump(alive, r, func(data []byte) error {
		got.Write(data)
		cancel()
		return nil
	})
	if got.String() != "the end" {
		t.Errorf("%q", got.String())
	}
}

func TestReadNow(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	buf := make([]byte, 10)
	if n, err := readNow(r, buf); n != 0 || err != unix.EAGAIN {
		t.Errorf("nothing is there yet: %d, %v", n, err)
	}
	w.Close()
	if n, err := readNow(r, buf); n != 0 || err != nil {
		t.Errorf("at the end: %d, %v", n, err)
	}
}
