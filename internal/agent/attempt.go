package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"cis/internal/agent/agentpb"
	"cis/internal/agent/lifecycle"
	"cis/internal/agent/runtime"
	"cis/internal/journal"
)

// attempt is one run of a container's program, with the journal of its output.
type attempt struct {
	lifecycle.Ref
	spec    *agentpb.Container
	journal *journal.Journal
	stdio   *stdio
	input   *input
	pumps   sync.WaitGroup

	// alive ends when the program has.
	alive context.Context
	died  context.CancelFunc

	// process is set before the attempt is reported as running.
	process runtime.Process
	// doomed: the end by a signal that comes is one we asked for.
	doomed atomic.Bool
}

// newAttempt opens the journal and the standard streams.
func newAttempt(ref lifecycle.Ref, spec *agentpb.Container, o Options) (*attempt, error) {
	j, err := journal.Create(journalPath(o.StateDir, ref), o.LogLimit)
	if err != nil {
		return nil, err
	}
	s, err := newStdio(spec.TTY, spec.Stdin)
	if err != nil {
		j.Close()
		return nil, err
	}
	a := &attempt{Ref: ref, spec: spec, journal: j, stdio: s}
	if spec.Stdin {
		a.input = newInput(s.in, spec.TTY)
	}
	a.alive, a.died = context.WithCancel(context.Background())
	return a, nil
}

func journalPath(dir string, ref lifecycle.Ref) string {
	return filepath.Join(dir, fmt.Sprintf("%s.%d.log", ref.Container, ref.Attempt))
}

// record begins to write the program's output into the journal. Wrote is called at
// the first output, failed when some of it could not be kept.
func (a *attempt) record(wrote func(time.Time), failed func(error)) {
	var first, failure sync.Once
	take := func(r *os.File, stream int) {
		pump(a.alive, r, func(data []byte) error {
			now := time.Now()
			if err := a.journal.Append(stream, now, data); err != nil {
				failure.Do(func() { failed(err) })
				return nil // the program must not stand still for it
			}
			first.Do(func() { wrote(now) })
			return nil
		})
	}
	a.pumps.Go(func() { take(a.stdio.out, journal.Stdout) })
	if a.stdio.err != nil {
		a.pumps.Go(func() { take(a.stdio.err, journal.Stderr) })
	}
}

// start starts the program.
func (a *attempt) start(ctx context.Context, rt runtime.Runtime) error {
	p, err := rt.Start(ctx, a.spec, a.stdio.program)
	if err != nil {
		a.end()
		return err
	}
	a.process = p
	if a.stdio.program.Terminal == nil {
		a.stdio.closeProgram()
	}
	return nil
}

// end is called when the program has ended. It completes the journal.
func (a *attempt) end() {
	a.stdio.closeProgram()
	a.died()
	a.pumps.Wait()
	a.stdio.closeOurs()
	a.journal.Complete()
}

// forget closes and removes the journal.
func (a *attempt) forget() {
	a.journal.Close()
	os.Remove(a.journal.Path())
}
