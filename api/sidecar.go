package api

// Sidecars are init containers that go on beside the containers: those with
// restartPolicy Always.

// IsSidecar tells whether the name is that of a sidecar.
func (s *InstanceSpec) IsSidecar(name string) bool {
	for i := range s.InitContainers {
		if c := &s.InitContainers[i]; c.Name == name {
			return c.sidecar()
		}
	}
	return false
}

// sidecar tells it of an init container.
func (c *Container) sidecar() bool { return c.RestartPolicy == RestartAlways }

// limitsOfInit are what an instance needs until its containers start, and what of that
// stays with its sidecars. An init container runs beside the sidecars before it.
func limitsOfInit(containers []Container) (most, stays ResourceList) {
	for i := range containers {
		together := stays.plus(containers[i].Resources.Limits)
		most.CPU, most.Memory = max(most.CPU, together.CPU), max(most.Memory, together.Memory)
		if containers[i].sidecar() {
			stays = together
		}
	}
	return most, stays
}
