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
	// copying while a goroutine follows the agent's journal.
	copying bool
	done    chan struct{}
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

// open opens or makes one journal; l.mu is held, or l not yet shared.
func (l *logs) open(a attempt) (*replica, error) {
	if r := l.journals[a]; r != nil {
		return r, nil
	}
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, err
	}
	j, err := journal.Open(filepath.Join(l.dir, logName(a)), logLimit)
	if err != nil {
		return nil, err
	}
	r := &replica{Journal: j, done: make(chan struct{})}
	l.journals[a] = r
	close(l.changed)
	l.changed = make(chan struct{})
	l.forget(attempt{a.container, a.number - keptAttempts})
	return r, nil
}

// forget drops an attempt that is too old; who reads it now reads on.
func (l *logs) forget(a attempt) {
	if l.journals[a] != nil {
		os.Remove(filepath.Join(l.dir, logName(a)))
	}
}

// follow copies what the agent has of a container's output, once for each
// attempt that has begun.
func (l *logs) follow(ctx context.Context, client *agentclient.Client, c agentpb.ContainerStatus) {
	if c.RestartCount > 0 {
		l.copy(ctx, client, attempt{c.Name, c.RestartCount - 1})
	}
	if !startOf(c.State).IsZero() {
		l.copy(ctx, client, attempt{c.Name, c.RestartCount})
	}
}

func (l *logs) copy(ctx context.Context, client *agentclient.Client, a attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, err := l.open(a)
	if err != nil || r.copying || r.complete {
		return
	}
	r.copying = true
	l.holders++
	go func() {
		defer l.close()
		err := client.Logs(ctx, a.container, a.number, r.End(), func(c journal.Chunk) error { return r.WriteAt(c) })
		l.mu.Lock()
		defer l.mu.Unlock()
		r.copying = false
		if err == nil && !r.complete {
			r.complete = true
			r.Complete()
			close(r.done)
		}
	}()
}

// drain waits until every journal that is being copied is complete.
func (l *logs) drain(ctx context.Context) error {
	l.mu.Lock()
	var copies []*replica
	for _, r := range l.journals {
		if r.copying {
			copies = append(copies, r)
		}
	}
	l.mu.Unlock()
	for _, r := range copies {
		select {
		case <-r.done:
		case <-ctx.Done():
			return fmt.Errorf("drain the output: %w", ctx.Err())
		}
	}
	return nil
}

// hold keeps the journals open for a reader, who closes them in turn.
func (l *logs) hold() *logs {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holders++
	return l
}

func (l *logs) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holders--; l.holders == 0 {
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
