package qemu

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"cis/api"
	"cis/internal/agent/agentclient"
	"cis/internal/agent/agentpb"
	"cis/internal/journal"
	"cis/internal/machine"
	"cis/internal/testbox"
)

// output runs a script in a new VM and returns what it printed.
func output(t *testing.T, m *Machine, s machine.Sandbox, script string) string {
	t.Helper()
	started(t, m, s)
	image := testbox.Image(t, nil)
	err := m.Equip(t.Context(), s.ID, machine.Disks{Images: []machine.Image{{Path: image}}, Layers: []machine.Layer{{Container: "main", Size: 512 * api.MiB}}})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := m.Connect(t.Context(), s.ID)
	if err != nil {
		t.Fatal(err)
	}
	client := agentclient.New(conn)
	defer client.Close()
	err = client.Run(t.Context(), &agentpb.Workload{ID: "run", Hostname: s.Hostname, Address: s.NIC.Address, RestartPolicy: api.RestartNever, Pids: 100,
		Containers: []agentpb.Container{{Name: "main", Rootfs: image, Args: []string{"/bin/sh", "-c", script}, Env: []string{"PATH=/bin"}, Cwd: "/"}}})
	if err != nil {
		t.Fatal(err)
	}
	for state, err := range client.Watch(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if state.Finished {
			break
		}
	}
	var out strings.Builder
	err = client.Logs(t.Context(), "main", 0, 0, func(c journal.Chunk) error {
		for entry := range c.Entries() {
			out.Write(entry.Data)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestCopiesDiffer: copies of one template share nothing that must differ, and have
// the host's time.
func TestCopiesDiffer(t *testing.T) {
	m := newMachine(t, newConfig(t))
	if err := m.Prepare(t.Context(), 1000, small); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond) // so that the template's clock is wrong
	const script = "cat /proc/sys/kernel/random/boot_id /proc/sys/kernel/random/uuid; head -c 32 /dev/urandom | od -An -tx1; cat /sys/class/net/eth0/address; date +%s"
	seen := map[string]bool{}
	for i, mac := range []string{"02:00:00:01:02:03", "02:00:00:01:02:04", "02:00:00:01:02:05"} {
		s := spec(t, byte('1'+i))
		s.NIC.MAC = mac
		began := time.Now().Truncate(time.Second)
		lines := strings.Split(strings.TrimSpace(output(t, m, s, script)), "\n")
		for _, line := range lines[:len(lines)-1] {
			if line == "" || seen[line] {
				t.Errorf("two copies have %q", line)
			}
			seen[line] = true
		}
		if !seen[mac] {
			t.Errorf("no %s in %q", mac, lines)
		}
		seconds, err := strconv.ParseInt(lines[len(lines)-1], 10, 64)
		if at := time.Unix(seconds, 0); err != nil || at.Before(began.Add(-time.Second)) || at.After(time.Now().Add(time.Second)) {
			t.Errorf("its clock says %q", lines[len(lines)-1])
		}
	}
}

// TestCopyUsesAll: a copy may write to all of its guest's memory, that which its template
// never touched too.
func TestCopyUsesAll(t *testing.T) {
	m, s := newMachine(t, newConfig(t)), spec(t, '1')
	s.Memory = 256 * api.MiB
	if err := m.Prepare(t.Context(), s.CPU, s.Memory); err != nil {
		t.Fatal(err)
	}
	// What is written goes through the guest's page cache, and so through all of its memory.
	out := output(t, m, s, "dd if=/dev/zero of=/big bs=1M count=400 2>/dev/null; stat -c %s /big")
	if want := strconv.Itoa(400 << 20); strings.TrimSpace(out) != want {
		t.Errorf("%q bytes of %s", out, want)
	}
}

// TestTemplateStays: no VM can change what others are copied from.
func TestTemplateStays(t *testing.T) {
	m := newMachine(t, newConfig(t))
	if err := m.Prepare(t.Context(), 1000, small); err != nil {
		t.Fatal(err)
	}
	found, err := m.templates.have(t.Context(), shapeOf(1000, small))
	if err != nil || found == nil {
		t.Fatalf("%v %v", found, err)
	}
	again, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", found.memory.Fd()), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := again.WriteAt([]byte("x"), 0); err == nil {
		t.Error("the memory of a template was written to")
	}
	if err := again.Truncate(0); err == nil {
		t.Error("the memory of a template was cut")
	}
}

// TestCutOff: what a process that was killed was making a template of goes with the
// next one's start, but not while somebody is making one.
func TestCutOff(t *testing.T) {
	c := newConfig(t)
	m := newMachine(t, c)
	left := m.dir(builderPrefix + "000000000001")
	if err := os.Mkdir(left, 0o700); err != nil {
		t.Fatal(err)
	}
	unlock, err := m.templates.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	newMachine(t, c)
	if _, err := os.Stat(left); err != nil {
		t.Errorf("removed while a template is made: %v", err)
	}
	unlock()
	newMachine(t, c)
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is left: %v", err)
	}
}
