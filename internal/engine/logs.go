package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"cis/api"
	"cis/internal/agent/agentclient"
	"cis/internal/agent/agentpb"
	"cis/internal/journal"
)

const (
	// logLimit bounds the output kept of one attempt of a container, in bytes.
	logLimit = 64 << 20
	// keptAttempts is how many of a container's attempts keep their output.
	keptAttempts = 2
)

// logs are the journals of one run of an instance: replicas of the agent's, one
// for each attempt of a container. Who reads holds them, so that an end or a
// removal takes nothing away under a reader.
type logs struct {
	dir string

	mu       sync.Mutex
	journals map[attempt]*replica
	holders  int
	closed   bool
	// changed is closed, and replaced, when an attempt begins.
	changed chan struct{}
}

// attempt names one start of a container.
type attempt struct {
	container string
	number    int
}

// replica is a journal and whether its source has been copied to the end.
type replica struct {
	*journal.Journal
	complete bool
	// from is the connection over which it is being copied, stopped is closed when
	// that has ended.
	from    *agentclient.Client
	stopped chan struct{}
}

// openLogs opens the journals that a run has on disk. The caller closes them.
func openLogs(dir string, run int) *logs {
	l := &logs{dir: filepath.Join(dir, strconv.Itoa(run)), journals: map[attempt]*replica{}, holders: 1, changed: make(chan struct{})}
	entries, _ := os.ReadDir(l.dir)
	for _, e := range entries {
		if a, ok := parseLogName(e.Name()); ok {
			l.open(a)
		}
	}
	return l
}

func logName(a attempt) string { return a.container + "." + strconv.Itoa(a.number) + ".log" }

func parseLogName(name string) (attempt, bool) {
	name, ok := strings.CutSuffix(name, ".log")
	container, number, ok2 := strings.Cut(name, ".")
	n, err := strconv.Atoi(number)
	return attempt{container, n}, ok && ok2 && err == nil
}

// errOldAttempt is what open says of attempts that are not kept.
var errOldAttempt = errors.New("there are later attempts")

// open opens or makes one journal, and drops those of attempts that are too old for
// it; l.mu is held, or l not yet shared.
func (l *logs) open(a attempt) (*replica, error) {
	if r := l.journals[a]; r != nil {
		return r, nil
	}
	for other := range l.journals {
		if other.container == a.container && other.number >= a.number+keptAttempts {
			return nil, errOldAttempt
		}
	}
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, err
	}
	j, err := journal.Open(filepath.Join(l.dir, logName(a)), logLimit)
	if err != nil {
		return nil, err
	}
	r := &replica{Journal: j}
	l.journals[a] = r
	close(l.changed)
	l.changed = make(chan struct{})
	for other := range l.journals {
		if other.container == a.container && other.number <= a.number-keptAttempts {
			l.forget(other)
		}
	}
	return r, nil
}

// forget drops an attempt that is too old. Who reads it now comes to its end.
func (l *logs) forget(a attempt) {
	if r := l.journals[a]; r != nil {
		delete(l.journals, a)
		r.Close()
		os.Remove(filepath.Join(l.dir, logName(a)))
	}
}

// follow copies what the agent has of a container's output, once for each
// attempt that has begun.
func (l *logs) follow(ctx context.Context, client *agentclient.Client, c agentpb.ContainerStatus) {
	if c.RestartCount > 0 {
		l.copy(ctx, client, attempt{c.Name, c.RestartCount - 1})
	}
	// A short attempt may be over before it was seen to run.
	waits := c.State.Waiting
	if !startOf(c.State).IsZero() || waits != nil && waits.Reason == api.ReasonCrashLoopBackOff {
		l.copy(ctx, client, attempt{c.Name, c.RestartCount})
	}
}

// copyRetry is how long a copy waits that failed on this side, such as on a full disk.
const copyRetry = time.Second

func (l *logs) copy(ctx context.Context, client *agentclient.Client, a attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, err := l.open(a)
	if err != nil || r.from == client || r.complete || l.closed {
		return
	}
	stopped := make(chan struct{})
	r.from, r.stopped = client, stopped
	l.holders++
	go func() {
		defer l.close()
		defer close(stopped)
		for l.copyOnce(ctx, client, a, r) != nil {
			select {
			case <-ctx.Done():
				return
			case <-client.Done():
				return
			case <-time.After(copyRetry):
			}
		}
	}()
}

// copyOnce copies from where the replica ends to where the attempt's output does.
func (l *logs) copyOnce(ctx context.Context, client *agentclient.Client, a attempt, r *replica) error {
	err := client.Logs(ctx, a.container, a.number, r.End(), func(c journal.Chunk) error { return r.WriteAt(c) })
	if errors.Is(err, journal.ErrClosed) || errors.Is(err, os.ErrClosed) || api.CodeOf(err) == api.NotFound {
		return nil // dropped: there are two later attempts
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	r.complete = true
	r.Complete()
	return nil
}

// drain waits until every journal that is being copied has been.
func (l *logs) drain(ctx context.Context) error {
	l.mu.Lock()
	var copies []chan struct{}
	for _, r := range l.journals {
		if r.stopped != nil {
			copies = append(copies, r.stopped)
		}
	}
	l.mu.Unlock()
	for _, stopped := range copies {
		select {
		case <-stopped:
		case <-ctx.Done():
			return fmt.Errorf("drain the output: %w", ctx.Err())
		}
	}
	return nil
}

// end tells readers that no journal will grow any more.
func (l *logs) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.journals {
		r.Complete()
	}
}

// hold keeps the journals open for a reader, who closes them in turn. It returns
// nil when they are closed already.
func (l *logs) hold() *logs {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.holders++
	return l
}

func (l *logs) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holders--; l.holders == 0 {
		l.closed = true
		for _, r := range l.journals {
			r.Close()
		}
	}
}

// get returns an attempt's journal, or nil and what is closed when one begins.
func (l *logs) get(a attempt) (*journal.Journal, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.journals[a]; r != nil {
		return r.Journal, nil
	}
	return nil, l.changed
}

// attempts are the numbers on record for a container, in order.
func (l *logs) attempts(container string) (numbers []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for a := range l.journals {
		if a.container == container {
			numbers = append(numbers, a.number)
		}
	}
	slices.SortFunc(numbers, cmp.Compare)
	return numbers
}

// pruneLogs removes the logs of runs before the one before this.
func pruneLogs(dir string, run int) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if n, bad := strconv.Atoi(e.Name()); bad == nil && n < run-1 {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}
