package engine

import (
	"errors"
	"strings"
	"testing"

	"cis/api"
)

func TestAdmission(t *testing.T) {
	c := newCapacity(Limits{CPUs: 2, Memory: 1024 * api.MiB, Reserved: 124 * api.MiB, CPUOvercommit: 2})
	need := func(cpu api.CPU, memory api.Bytes) demand { return demand{"a", cpu, memory, 12 * api.MiB} }
	if err := c.admit(need(3000, 500*api.MiB), api.Quota{}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name      string
		cpu       api.CPU
		memory    api.Bytes
		say, next string
	}{
		{"cpu", 1500, 32 * api.MiB, "1.5 cores asked for, 1 of 4 free", "at most 1 cores"},
		{"memory", 100, 400 * api.MiB, "400Mi asked for", "at most 376Mi"},
	} {
		err := c.admit(need(tt.cpu, tt.memory), api.Quota{})
		e, ok := errors.AsType[*api.Error](err)
		if !ok || e.Code != api.Exhausted || !strings.Contains(e.Message, tt.say) || !strings.Contains(e.Next, tt.next) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if err := c.admit(need(1000, 376*api.MiB), api.Quota{}); err != nil {
		t.Errorf("what was said to fit does not: %v", err)
	}
	c.release(need(1000, 376*api.MiB))
	c.release(need(3000, 500*api.MiB))
	if i := c.info(); i.CPUUsed != 0 || i.MemoryUsed != 0 {
		t.Errorf("after all are gone: %+v", i)
	}
}

func TestQuota(t *testing.T) {
	c := newCapacity(Limits{CPUs: 64, Memory: 1024 * api.GiB, CPUOvercommit: 1})
	instances, cpu, memory := 3, api.CPU(2000), api.GiB
	q := api.Quota{Instances: &instances, CPU: &cpu, Memory: &memory}
	mine := demand{account: "a", cpu: 500, memory: 256 * api.MiB, overhead: api.GiB}
	for range 2 {
		if err := c.admit(mine, q); err != nil {
			t.Fatal(err)
		}
	}
	for field, d := range map[string]demand{
		"quota.cpu":    {account: "a", cpu: 1050, memory: 32 * api.MiB},
		"quota.memory": {account: "a", cpu: 50, memory: 513 * api.MiB},
	} {
		wantError(t, c.admit(d, q), api.Exhausted, field, "the quota of account a is ")
	}
	wantError(t, c.admit(demand{account: "b", cpu: 2050, memory: api.MiB}, q), api.Exhausted, "quota.cpu", "0 in use")
	if err := c.admit(mine, q); err != nil {
		t.Fatal(err)
	}
	wantError(t, c.admit(mine, q), api.Exhausted, "quota.instances", "3 instances: one more asked for, 3 in use")
	c.release(mine)
	if err := c.admit(mine, q); err != nil {
		t.Error(err)
	}
	if err := c.admit(mine, api.Quota{}); err != nil {
		t.Errorf("without bounds: %v", err)
	}
}
