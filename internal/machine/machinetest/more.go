package machinetest

import (
	"testing"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/machine"
)

// more gives a sandbox that runs one more container, among the processes of another, until
// there is no more room for any.
func (s *suite) more(t *testing.T) {
	b := s.start(t, s.sandbox(t))
	s.shell(b, "main", "sleep 1000 & touch /here; wait")
	b.begin(t)
	b.until(t, running)
	debugger := agentpb.Container{
		Name: "debugger", Rootfs: s.Rootfs, Args: []string{"/bin/sh", "-c", "until test -e /proc/1/root/here; do sleep 0.05; done; pidof sleep >/dev/null && echo seen; ls /here"},
		Env: []string{"PATH=/bin"}, Cwd: "/", StopSignal: 15, Target: "main",
	}
	disks := machine.Disks{Images: []machine.Image{{Path: b.rootfs}}, Layers: []machine.Layer{{Container: "debugger", Size: b.load.EphemeralStorage}}}
	for range 2 {
		if err := b.m.Equip(t.Context(), b.id, disks); err != nil {
			t.Fatal(err)
		}
		if err := b.Add(t.Context(), &debugger); err != nil {
			t.Fatal(err)
		}
	}
	state := b.until(t, func(s agentpb.State) bool {
		return len(s.EphemeralContainers) == 1 && s.EphemeralContainers[0].State.Terminated != nil
	})
	out, wrong := b.output(t, "debugger")
	if out != "seen\n" || state.EphemeralContainers[0].State.Terminated.ExitCode != 1 || !running(state) {
		t.Errorf("%q %q %+v", out, wrong, state)
	}
	var err error
	for n := 0; err == nil && n < 32; n++ {
		err = b.m.Equip(t.Context(), b.id, machine.Disks{Layers: []machine.Layer{{Container: "c" + pad(n), Size: api.MiB}}})
	}
	if err != nil && api.CodeOf(err) != api.Invalid {
		t.Errorf("too many disks: %v", err)
	}
	if output, _ := b.exec(t, "main", "echo still here"); output != "still here\n" {
		t.Errorf("afterwards: %q", output)
	}
}
