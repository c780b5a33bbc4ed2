package lifecycle

import (
	"time"

	"cis/api"
)

// probe is the state of one probe of the running attempt.
type probe struct {
	kind ProbeKind
	spec api.Probe
	// next is when to ask again; zero while the probe does not run.
	next    time.Time
	waiting bool // for an answer
	// last answer, and how many like it came in a row.
	last bool
	run  int
}

// newProbe fills in Kubernetes' defaults. It returns nil for no probe.
func newProbe(kind ProbeKind, spec *api.Probe) *probe {
	if spec == nil {
		return nil
	}
	return &probe{kind: kind, spec: WithDefaults(*spec)}
}

// WithDefaults fills in Kubernetes' defaults for what a probe leaves open.
func WithDefaults(p api.Probe) api.Probe {
	p.PeriodSeconds = orDefault(p.PeriodSeconds, 10)
	p.TimeoutSeconds = orDefault(p.TimeoutSeconds, 1)
	p.SuccessThreshold = orDefault(p.SuccessThreshold, 1)
	p.FailureThreshold = orDefault(p.FailureThreshold, 3)
	return p
}

func orDefault(n, d int) int {
	if n <= 0 {
		return d
	}
	return n
}

// begin runs the probe for a program that started at a time.
func (p *probe) begin(now, started time.Time) {
	if p == nil {
		return
	}
	first := started.Add(time.Duration(p.spec.InitialDelaySeconds) * time.Second)
	*p = probe{kind: p.kind, spec: p.spec, next: latest(now, first)}
}

func (p *probe) stop() {
	if p != nil {
		p.next = time.Time{}
	}
}

// due tells that it is time to ask, and when next.
func (p *probe) due(now time.Time) bool {
	if p == nil || p.next.IsZero() || p.waiting || now.Before(p.next) {
		return false
	}
	p.waiting = true
	period := time.Duration(p.spec.PeriodSeconds) * time.Second
	p.next = p.next.Add(period)
	if p.next.Before(now) {
		p.next = now.Add(period)
	}
	return true
}

// wake is when the probe wants to be asked for, zero for never.
func (p *probe) wake() time.Time {
	if p == nil || p.waiting {
		return time.Time{}
	}
	return p.next
}

// grace is the time that a program has to end when the probe has failed.
func (p *probe) grace(otherwise time.Duration) time.Duration {
	if own := p.spec.TerminationGracePeriodSeconds; own != nil {
		return time.Duration(*own) * time.Second
	}
	return otherwise
}

// verdict of a probe after an answer.
type verdict int

const (
	undecided verdict = iota
	healthy
	unhealthy
)

// answer counts an answer and tells whether its threshold is reached.
func (p *probe) answer(ok bool) verdict {
	p.waiting = false
	if ok != p.last || p.run == 0 {
		p.last, p.run = ok, 0
	}
	p.run++
	switch {
	case ok && p.run >= p.spec.SuccessThreshold:
		return healthy
	case !ok && p.run >= p.spec.FailureThreshold:
		return unhealthy
	}
	return undecided
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
