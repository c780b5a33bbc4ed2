package lifecycle

import (
	"slices"
	"time"

	"cis/api"
)

// Sidecars are init containers that are always restarted: they go on beside what
// comes after them, and end after it, the last one first. They have no say in how
// the workload ends.

// passed tells whether what comes after an init container may start.
func (c *container) passed() bool {
	if c.sidecar() {
		return c.hasBeenStarted
	}
	return c.phase == ended && !c.failed()
}

func (c *container) sidecar() bool {
	return c.init && c.spec.RestartPolicy == api.RestartAlways
}

// endsLater tells whether the container has to wait with its end for others.
func (c *container) endsLater() bool {
	if !c.sidecar() {
		return false
	}
	for _, main := range c.m.main {
		if !main.isAway() {
			return true
		}
	}
	for i := len(c.m.init) - 1; c.m.init[i] != c; i-- {
		if later := c.m.init[i]; later.sidecar() && !later.isAway() {
			return true
		}
	}
	return false
}

// isAway tells that the container has no program, and is not about to.
func (c *container) isAway() bool { return c.phase == idle || c.phase == ended }

// ending tells that no program is started any more.
func (m *Machine) ending() bool { return m.stopping || m.closing }

// closeIfDone stops the sidecars, and what was added, when all that they are for has ended.
func (m *Machine) closeIfDone(now time.Time) {
	if m.ending() || !m.isDone() {
		return
	}
	m.closing, m.killBy = true, now.Add(m.w.GracePeriod)
	for c := range m.all {
		if c.accompanies() {
			c.stop(now)
		}
	}
}

// accompanies tells whether the container ends when all others have.
func (c *container) accompanies() bool { return c.added || c.sidecar() }

// isDone tells that every main container has ended for good, or none ever starts.
func (m *Machine) isDone() bool {
	stuck := m.isStuck()
	for c := range m.all {
		if !c.accompanies() && c.phase != ended && !(stuck && c.phase == idle) {
			return false
		}
	}
	return true
}

// isStuck tells that an init container has failed for good.
func (m *Machine) isStuck() bool {
	return slices.ContainsFunc(m.init, (*container).failed)
}
