package api

import (
	"cmp"
	"fmt"
	"slices"
)

// InstanceResize changes the size of an instance that has not ended, while it runs. What it
// leaves out stays.
type InstanceResize struct {
	// Size names one of the operator's sizes; it excludes CPU and Memory.
	Size string `json:"size,omitempty"`
	// CPU of the whole instance, as in its spec.
	CPU CPU `json:"cpu,omitempty"`
	// Memory of the whole instance, as in its spec.
	Memory Bytes `json:"memory,omitempty"`
	// Containers whose limits change; those of init containers as well.
	Containers []ContainerResize `json:"containers,omitempty"`
}

// ContainerResize changes the limits of one container.
type ContainerResize struct {
	Name      string    `json:"name"`
	Resources Resources `json:"resources,omitzero"`
	// Restart the container once the new size is in force: with its hooks and the grace
	// period, and counted. Not with restartPolicy Never.
	Restart bool `json:"restart,omitempty"`
}

// Apply is a spec with the change.
func (r InstanceResize) Apply(s InstanceSpec, d Defaults) InstanceSpec {
	switch {
	case r.Size != "":
		s.Size, s.CPU, s.Memory = r.Size, r.CPU, r.Memory
		if named, ok := d.size(r.Size); ok {
			setDefault(&s.CPU, named.CPU)
			setDefault(&s.Memory, named.Memory)
		}
	case r.CPU != 0 || r.Memory != 0:
		s.Size = ""
		s.CPU, s.Memory = cmp.Or(r.CPU, s.CPU), cmp.Or(r.Memory, s.Memory)
	}
	s.Containers, s.InitContainers = slices.Clone(s.Containers), slices.Clone(s.InitContainers)
	for _, c := range r.Containers {
		if at := s.find(c.Name); at != nil {
			have, want := &at.Resources.Limits, c.Resources.Limits
			have.CPU, have.Memory = cmp.Or(want.CPU, have.CPU), cmp.Or(want.Memory, have.Memory)
		}
	}
	return s
}

// Validate checks a change of an instance of the spec. It returns nil or an *Error of code
// Invalid with the path of the wrong field; several are in its Errors.
func (r InstanceResize) Validate(s InstanceSpec, d Defaults) error {
	var c checker
	c.check(r.Size != "" || r.CPU != 0 || r.Memory != 0 || len(r.Containers) > 0, "cpu", "or memory, size or containers must be given")
	after := r.Apply(s, d)
	if after.Size != s.Size || after.Resources() != s.Resources() {
		c.size(&after, d)
	}
	changed := map[string]bool{}
	for i, change := range r.Containers {
		field := fmt.Sprintf("containers[%d]", i)
		c.unique(changed, change.Name, field+".name")
		c.check(change.Restart || change.Resources != Resources{}, field+".resources.limits", "must have cpu or memory")
		if at := after.find(change.Name); at != nil {
			c.limits(at.Resources.Limits, &after, field+".resources.limits")
			c.check(!change.Restart || cmp.Or(at.RestartPolicy, s.RestartPolicy) != RestartNever, field+".restart", "excludes restartPolicy Never")
		} else {
			c.bad(field+".name", "the instance has no container %q that was there from its start", clip(change.Name))
		}
	}
	c.leavesRoom(&after, changed)
	return Join(c.mistakes)
}

// leavesRoom checks that what does not change fits into the new size.
func (c *checker) leavesRoom(s *InstanceSpec, changed map[string]bool) {
	for _, ct := range slices.Concat(s.InitContainers, s.Containers) {
		if l := ct.Resources.Limits; !changed[ct.Name] {
			c.check(l.CPU <= s.CPU, "cpu", "must be at least container %s's limit of %s cores, not %s", ct.Name, l.CPU, s.CPU)
			c.check(l.Memory <= s.Memory, "memory", "must be at least container %s's limit of %s, not %s", ct.Name, l.Memory, s.Memory)
		}
	}
	for _, v := range s.Volumes {
		if e := v.EmptyDir; e != nil && e.Medium == "Memory" {
			c.check(e.SizeLimit <= s.Memory, "memory", "must be at least the %s that volume %s may hold in memory, not %s", e.SizeLimit, v.Name, s.Memory)
		}
	}
}

// Resources are the size of the whole instance.
func (s *InstanceSpec) Resources() ResourceList { return ResourceList{CPU: s.CPU, Memory: s.Memory} }
