package api

import "slices"

// InstanceUpdate changes what an instance runs; what it leaves out stays.
type InstanceUpdate struct {
	// RestartPolicy of all containers.
	RestartPolicy RestartPolicy
	// Containers and InitContainers take the places of all that there are.
	Containers, InitContainers []Container
	// RegistryAuth is used for the instance's pulls from now on.
	RegistryAuth *RegistryAuth
}

// Apply is a spec with the change, of a run that has not begun.
func (u InstanceUpdate) Apply(s InstanceSpec) InstanceSpec {
	if u.RestartPolicy != "" {
		s.RestartPolicy = u.RestartPolicy
	}
	if u.Containers != nil {
		s.Containers = slices.Clone(u.Containers)
	}
	if u.InitContainers != nil {
		s.InitContainers = slices.Clone(u.InitContainers)
	}
	s.EphemeralContainers = nil
	return s
}

// Default fills in what the containers leave out.
func (u *InstanceUpdate) Default() {
	var s InstanceSpec
	s.Containers, s.InitContainers = u.Containers, u.InitContainers
	s.Default(Defaults{})
}

// Validate checks a change that has its defaults, for an instance of the spec.
func (u InstanceUpdate) Validate(s InstanceSpec, d Defaults) error {
	var c checker
	applied := u.Apply(s)
	c.spec(&applied, d)
	if u.RegistryAuth != nil {
		c.registryAuth(u.RegistryAuth, "registryAuth")
	}
	return Join(c.mistakes)
}
