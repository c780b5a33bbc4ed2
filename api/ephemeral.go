package api

import (
	"slices"
	"strings"
)

// EphemeralContainer is a program that is added to an instance that runs, to look at the
// others. It is started at once and never again, has no say in how the instance ends, and
// stays on record until then. It shares the instance's size, network and host name, and has
// no resources, ports, probes, hooks or restart policy.
type EphemeralContainer struct {
	Container
	// TargetContainerName is the container whose processes it sees; it ends with that one.
	// Empty: it sees its own, or with shareProcessNamespace those of all containers.
	TargetContainerName string `json:"targetContainerName,omitempty"`
}

// Default fills in what the container leaves out.
func (e *EphemeralContainer) Default() { e.setDefaults() }

// Validate checks a container that has its defaults, for an instance of the spec.
func (e *EphemeralContainer) Validate(s InstanceSpec, d Defaults) error {
	var c checker
	in := inInstance{spec: &s, volumes: map[string]bool{}, names: map[string]bool{}, ports: map[string]bool{}}
	for _, v := range s.Volumes {
		in.volumes[v.Name] = true
	}
	c.container(&e.Container, in, "")
	for _, mistake := range c.mistakes {
		mistake.Field = strings.TrimPrefix(mistake.Field, ".")
	}
	for _, p := range []struct {
		name string
		set  bool
	}{
		{"resources", e.Resources != Resources{}}, {"ports", len(e.Ports) > 0}, {"restartPolicy", e.RestartPolicy != ""}, {"restartPolicyRules", len(e.RestartPolicyRules) > 0}, {"lifecycle", e.Lifecycle != nil},
		{"startupProbe", e.StartupProbe != nil}, {"livenessProbe", e.LivenessProbe != nil}, {"readinessProbe", e.ReadinessProbe != nil},
	} {
		c.check(!p.set, p.name, "an ephemeral container has none")
	}
	c.check(e.TargetContainerName == "" || s.find(e.TargetContainerName) != nil, "targetContainerName",
		"the instance has no container %q that was there from its start", clip(e.TargetContainerName))
	total := len(s.Containers) + len(s.InitContainers) + len(s.EphemeralContainers) + 1
	c.check(total <= d.maxContainers(), "name", "an instance has at most %d containers, those that were added and have ended included", d.maxContainers())
	return Join(c.mistakes)
}

// HasEphemeral tells whether a container of that name was added to the instance.
func (s *InstanceSpec) HasEphemeral(name string) bool {
	return slices.ContainsFunc(s.EphemeralContainers, func(c EphemeralContainer) bool { return c.Name == name })
}

// find is a container that the instance has had from its start; nil: there is none.
func (s *InstanceSpec) find(name string) *Container {
	for _, list := range [][]Container{s.Containers, s.InitContainers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}
