package engine

import (
	"context"

	"cis/api"
	"cis/internal/machine"
)

// vms is the machine of an isolation, if it makes VMs.
func (e *Engine) vms(iso api.Isolation) machine.VMs {
	m, err := e.machine(iso)
	if err != nil {
		return nil
	}
	vms, _ := m.(machine.VMs)
	return vms
}

// emulated tells whether an instance will be an emulated VM.
func (e *Engine) emulated(ctx context.Context, iso api.Isolation) bool {
	vms := e.vms(iso)
	if vms == nil {
		return false
	}
	emulated, err := vms.Emulated(ctx)
	return err == nil && emulated
}

// Console reads what the kernel of a live instance has printed.
func (e *Engine) Console(ctx context.Context, ref string) (api.Console, error) {
	l, err := e.findLive(ctx, ref)
	if err != nil {
		return api.Console{}, err
	}
	rec, _ := l.snapshot()
	if rec.Run.Sandbox == "" {
		return api.Console{}, api.Errorf(api.Conflict, "instance %s has no sandbox yet", rec.Spec.Name).WithNext("try again when it runs")
	}
	vms := e.vms(rec.Status.Isolation)
	if vms == nil {
		return api.Console{}, api.Errorf(api.Invalid, "instance %s has no kernel of its own: its isolation is %s", rec.Spec.Name, rec.Status.Isolation).
			WithNext("`cis run --isolation vm` makes instances that have one; `cis logs` shows the output of programs")
	}
	text, err := vms.Console(ctx, rec.Run.Sandbox)
	return api.Console{ID: rec.ID, Name: rec.Spec.Name, Text: text}, err
}
