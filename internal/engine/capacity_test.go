package engine

import (
	"errors"
	"strings"
	"testing"

	"cis/api"
)

func TestAdmission(t *testing.T) {
	c := newCapacity(Limits{CPUs: 2, Memory: 1024 * api.MiB, Reserved: 124 * api.MiB, CPUOvercommit: 2})
	need := func(cpu api.CPU, memory api.Bytes) demand { return demand{cpu, memory, 12 * api.MiB} }
	if err := c.admit(need(3000, 500*api.MiB)); err != nil {
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
		err := c.admit(need(tt.cpu, tt.memory))
		e, ok := errors.AsType[*api.Error](err)
		if !ok || e.Code != api.Exhausted || !strings.Contains(e.Message, tt.say) || !strings.Contains(e.Next, tt.next) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if err := c.admit(need(1000, 376*api.MiB)); err != nil {
		t.Errorf("what was said to fit does not: %v", err)
	}
	c.release(need(1000, 376*api.MiB))
	c.release(need(3000, 500*api.MiB))
	if i := c.info(); i.CPUUsed != 0 || i.MemoryUsed != 0 {
		t.Errorf("after all are gone: %+v", i)
	}
}
