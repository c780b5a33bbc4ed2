package runsc

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// logTail is how much of the sandbox's own log is kept, in bytes.
const logTail = 4096

// sandboxLog keeps the end of what the sandbox writes into its log.
type sandboxLog struct {
	mu   sync.Mutex
	tail []byte
	// crash is the first line that tells of one.
	crash string
	done  chan struct{}
}

// follow reads a pipe to its end and closes it.
func follow(pipe *os.File) *sandboxLog {
	l := &sandboxLog{done: make(chan struct{})}
	go func() {
		defer close(l.done)
		defer pipe.Close()
		chunk := make([]byte, logTail)
		for {
			n, err := pipe.Read(chunk)
			l.add(chunk[:n])
			if err != nil {
				return
			}
		}
	}()
	return l
}

func (l *sandboxLog) add(chunk []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = append(l.tail, chunk...)
	if l.crash == "" {
		l.crash = string(crashLine.Find(l.tail))
	}
	if over := len(l.tail) - logTail; over > 0 {
		l.tail = append(l.tail[:0], l.tail[over:]...)
	}
}

// wait returns what matters of the log once the writers are gone, or after a
// second.
func (l *sandboxLog) wait() string {
	select {
	case <-l.done:
	case <-time.After(time.Second):
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return essence(string(l.tail), l.crash)
}

// essence is the line with which the sandbox crashed, else the last lines, but for
// those that repeat an error as JSON.
func essence(tail, crash string) string {
	if crash != "" {
		return crash
	}
	lines := slices.DeleteFunc(strings.Split(tail, "\n"), func(line string) bool {
		return strings.TrimSpace(line) == "" || strings.HasPrefix(line, `{"msg":`)
	})
	return strings.Join(lines[max(0, len(lines)-3):], "; ")
}

// crashLine finds how the Go runtime begins to tell of a crash. What follows are
// stacks, which help nobody but gVisor's authors.
var crashLine = regexp.MustCompile(`(?m)^(panic: |fatal error: |runtime: ).*$`)
