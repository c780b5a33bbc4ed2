package agent

import (
	"cmp"
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// readSize is what is read of a program's output at once.
	readSize = 32 << 10
	// drainTime is how long output of a program that has ended is waited for where
	// something it left behind holds the pipe; drainSize is the most that a pipe can
	// still hold then.
	drainTime = time.Second
	drainSize = 1 << 20
)

// pump hands what comes from r to sink, until the other end is closed or sink
// fails. Once alive has ended it only takes what is there already. It closes r.
func pump(alive context.Context, r *os.File, sink func([]byte) error) {
	defer r.Close()
	// Wakes a read that waits when the program ends.
	stop := context.AfterFunc(alive, func() { r.SetReadDeadline(time.Now().Add(drainTime)) })
	defer stop()
	buf := make([]byte, readSize)
	for left := drainSize; left > 0; {
		over := alive.Err() != nil
		if over {
			r.SetReadDeadline(time.Now().Add(drainTime))
		}
		n, err := r.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			// Where this process itself stood still for so long, it has not looked yet.
			n, err = readNow(r, buf)
			over = true
		}
		if n > 0 && sink(buf[:n]) != nil {
			return
		}
		if n <= 0 || err != nil { // the end, EIO of a terminal, or nothing more in time
			return
		}
		if over {
			left -= n
		}
	}
}

// readNow reads what is there and does not wait for more, deadline or not.
func readNow(r *os.File, buf []byte) (n int, err error) {
	conn, err := r.SyscallConn()
	if err == nil {
		err = r.SetReadDeadline(time.Time{})
	}
	if err != nil {
		return 0, err
	}
	var failure error
	err = conn.Read(func(fd uintptr) bool {
		n, failure = unix.Read(int(fd), buf)
		return true
	})
	return max(n, 0), cmp.Or(err, failure)
}
