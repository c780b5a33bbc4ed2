package qemu

import (
	"testing"
	"time"

	"cis/api"
	"cis/internal/agent/agentclient"
	"cis/internal/agent/agentpb"
	"cis/internal/machine"
	"cis/internal/testbox"
)

// TestMemoryGoesBack: what a program has used and its end has freed is the host's
// again, and the template is whole: another copy of it starts.
func TestMemoryGoesBack(t *testing.T) {
	m := newMachine(t, newConfig(t))
	const size = 192 * api.MiB
	if err := m.Prepare(t.Context(), 1000, size); err != nil {
		t.Fatal(err)
	}
	image := testbox.Image(t, nil)
	s := machine.Sandbox{ID: "s-000000000001", CPU: 1000, Memory: size, Pids: 200, Hostname: "web", NIC: newNIC(t)}
	client := startCopy(t, m, s, image)
	err := client.Run(t.Context(), &agentpb.Workload{ID: "run", Hostname: "web", RestartPolicy: api.RestartNever, Pids: 200, Memory: size,
		Containers: []agentpb.Container{{Name: "main", Rootfs: image, Cwd: "/", Env: []string{"PATH=/bin"},
			Args: []string{"/bin/sh", "-c", "dd if=/dev/zero of=/dev/shm/x bs=1M count=60; sleep 1; rm /dev/shm/x; exec sleep 1000"}}}})
	if err != nil {
		t.Fatal(err)
	}
	var most, now api.Bytes
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		usage, err := m.cgroups.Usage(m.group(s.ID))
		if err != nil {
			t.Fatal(err)
		}
		now = usage.Memory
		most = max(most, now)
		if now < most-30*api.MiB {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d MiB of at most %d are still used", now/api.MiB, most/api.MiB)
		}
	}
	t.Logf("of %d MiB %d are left", most/api.MiB, now/api.MiB)
	s.ID, s.NIC = "s-000000000002", newNIC(t)
	startCopy(t, m, s, image)
}

// startCopy starts a VM with an image.
func startCopy(t *testing.T, m *Machine, s machine.Sandbox, image string) *agentclient.Client {
	t.Helper()
	if err := m.Start(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	conn, err := m.Connect(t.Context(), s.ID)
	if err != nil {
		t.Fatal(err)
	}
	client := agentclient.New(conn)
	t.Cleanup(func() { client.Close() })
	disks := machine.Disks{Images: []machine.Image{{Path: image}}, Layers: []machine.Layer{{Container: "main", Size: api.GiB}}}
	if err := m.Equip(t.Context(), s.ID, disks); err != nil {
		t.Fatal(err)
	}
	return client
}
