package api

import (
	"errors"
	"testing"
)

func TestEphemeralContainer(t *testing.T) {
	spec := InstanceSpec{Containers: []Container{{Name: "main", Image: "a"}}, Volumes: []Volume{{Name: "v", EmptyDir: &EmptyDir{}}}}
	for field, change := range map[string]func(*EphemeralContainer){
		"": func(c *EphemeralContainer) {
			c.TargetContainerName, c.VolumeMounts = "main", []VolumeMount{{Name: "v", MountPath: "/v"}}
		},
		"name":                 func(c *EphemeralContainer) { c.Name = "" },
		"image":                func(c *EphemeralContainer) { c.Image = "A B" },
		"command[0]":           func(c *EphemeralContainer) { c.Command = []string{""} },
		"volumeMounts[0].name": func(c *EphemeralContainer) { c.VolumeMounts = []VolumeMount{{Name: "w", MountPath: "/v"}} },
		"targetContainerName":  func(c *EphemeralContainer) { c.TargetContainerName = "other" },
		"resources":            func(c *EphemeralContainer) { c.Resources.Limits.CPU = 1 },
		"ports":                func(c *EphemeralContainer) { c.Ports = []ContainerPort{{ContainerPort: 80}} },
		"restartPolicy":        func(c *EphemeralContainer) { c.RestartPolicy = RestartAlways },
		"lifecycle":            func(c *EphemeralContainer) { c.Lifecycle = &Lifecycle{} },
		"livenessProbe": func(c *EphemeralContainer) {
			c.LivenessProbe = &Probe{Handler: Handler{TCPSocket: &TCPSocketAction{Port: 80}}}
		},
	} {
		c := EphemeralContainer{Container: Container{Name: "d", Image: "a"}}
		change(&c)
		c.Default()
		s := spec
		s.CPU = 1
		err := c.Validate(s, Defaults{})
		e, _ := errors.AsType[*Error](err)
		if field == "" && err != nil || field != "" && (e == nil || e.Field != field) {
			t.Errorf("%q: %v", field, err)
		}
	}
	c := EphemeralContainer{Container: Container{Name: "d", Image: "a"}}
	c.Default()
	spec.EphemeralContainers = []EphemeralContainer{c}
	if err := c.Validate(spec, Defaults{MaxContainers: 2}); err == nil {
		t.Error("one container too many was accepted")
	}
	spec.Default(Defaults{})
	if e, _ := errors.AsType[*Error](spec.Validate(Defaults{})); e == nil || e.Field != "ephemeralContainers" {
		t.Errorf("as part of a new instance: %v", e)
	}
}
