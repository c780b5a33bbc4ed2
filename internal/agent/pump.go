package agent

import (
	"context"
	"os"
	"time"
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
		if n > 0 && sink(buf[:n]) != nil {
			return
		}
		if err != nil { // io.EOF, EIO of a terminal, or the deadline
			return
		}
		if over {
			left -= n
		}
	}
}
