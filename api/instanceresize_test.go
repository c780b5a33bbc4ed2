package api

import (
	"errors"
	"testing"
)

func TestInstanceResize(t *testing.T) {
	d := Defaults{Sizes: []Size{{Name: "small", CPU: 1000, Memory: GiB}}, MaxCPU: 4000}
	limits := func(cpu CPU, memory Bytes) Resources {
		return Resources{Limits: ResourceList{CPU: cpu, Memory: memory}}
	}
	of := func(name string, cpu CPU, memory Bytes) InstanceResize {
		return InstanceResize{Containers: []ContainerResize{{Name: name, Resources: limits(cpu, memory)}}}
	}
	twice := of("web", 100, 0)
	twice.Containers = append(twice.Containers, twice.Containers[0])
	both := of("web", 1500, 0)
	both.CPU = 2000
	restart := of("web", 0, 0)
	restart.Containers[0].Restart = true
	for _, test := range []struct {
		resize InstanceResize
		field  string
		cpu    CPU
		memory Bytes
		web    Resources
	}{
		{resize: InstanceResize{CPU: 2000}, cpu: 2000, memory: 512 * MiB, web: limits(500, 256*MiB)},
		{resize: InstanceResize{Memory: 300 * MiB}, cpu: 1000, memory: 300 * MiB, web: limits(500, 256*MiB)},
		{resize: InstanceResize{Size: "small"}, cpu: 1000, memory: GiB, web: limits(500, 256*MiB)},
		{resize: of("web", 800, 0), cpu: 1000, memory: 512 * MiB, web: limits(800, 256*MiB)},
		{resize: both, cpu: 2000, memory: 512 * MiB, web: limits(1500, 256*MiB)},
		{resize: restart, field: "containers[0].restart"},
		{field: "cpu"},
		{resize: InstanceResize{CPU: 1001}, field: "cpu"},
		{resize: InstanceResize{CPU: 5000}, field: "cpu"},
		{resize: InstanceResize{CPU: 400}, field: "cpu"},
		{resize: InstanceResize{Memory: 200 * MiB}, field: "memory"},
		{resize: InstanceResize{Memory: 256 * MiB}, field: "memory"},
		{resize: InstanceResize{Size: "large"}, field: "size"},
		{resize: InstanceResize{Size: "small", CPU: 2000}, field: "cpu"},
		{resize: of("web", 2000, 0), field: "containers[0].resources.limits.cpu"},
		{resize: of("web", 0, GiB), field: "containers[0].resources.limits.memory"},
		{resize: of("web", 0, 0), field: "containers[0].resources.limits"},
		{resize: of("debugger", 100, 0), field: "containers[0].name"},
		{resize: twice, field: "containers[1].name"},
	} {
		s := InstanceSpec{CPU: 1000, Memory: 512 * MiB, Containers: []Container{{Name: "web", Image: "a", Resources: limits(500, 256*MiB)}},
			EphemeralContainers: []EphemeralContainer{{Container: Container{Name: "debugger"}}},
			Volumes:             []Volume{{Name: "v", EmptyDir: &EmptyDir{Medium: "Memory", SizeLimit: 260 * MiB}}}}
		s.Default(d)
		err := test.resize.Validate(s, d)
		e, _ := errors.AsType[*Error](err)
		if test.field == "" && err != nil || test.field != "" && (e == nil || e.Field != test.field) {
			t.Errorf("%+v: %v, want a mistake in %q", test.resize, err, test.field)
		}
		after := test.resize.Apply(s, d)
		if test.field == "" && (after.CPU != test.cpu || after.Memory != test.memory || after.Size != test.resize.Size || after.Containers[0].Resources != test.web) {
			t.Errorf("%+v gives %+v", test.resize, after)
		}
		if s.CPU != 1000 || s.Containers[0].Resources != limits(500, 256*MiB) {
			t.Errorf("%+v changed the spec it was applied to", test.resize)
		}
	}
}
