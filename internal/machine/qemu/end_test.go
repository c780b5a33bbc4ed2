package qemu

import (
	"context"
	"debug/elf"
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cis/api"
	"cis/internal/agent/guest"
	"cis/internal/machine"
)

func spec(t testing.TB, last byte) machine.Sandbox {
	return machine.Sandbox{ID: "s-00000000000" + string(last), CPU: 1000, Memory: small, Pids: 256, Hostname: "web", NIC: newNIC(t)}
}

// started starts a sandbox that is destroyed with the test.
func started(t testing.TB, m *Machine, s machine.Sandbox) {
	if err := m.Start(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Destroy(context.Background(), s.ID); err != nil {
			t.Error(err)
		}
	})
}

// seenWithin is how long a VM may be dead without anybody knowing, on a machine that
// is busy with other tests; on a quiet one it is two seconds at most.
const seenWithin = 10 * time.Second

// TestEnds: whatever ends a VM is seen soon, and told.
func TestEnds(t *testing.T) {
	c := newConfig(t)
	m := newMachine(t, c)
	if err := m.Prepare(t.Context(), 1000, small); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		end  func(t *testing.T, id string)
		says string
	}{
		"killed":  {func(t *testing.T, id string) { signal(t, m, id, unix.SIGKILL) }, "has ended"},
		"stopped": {func(t *testing.T, id string) { signal(t, m, id, unix.SIGSTOP) }, "stands still"},
		"reset": {func(t *testing.T, id string) {
			q, err := dialQMP(t.Context(), m.socket(id, controlSocket))
			if err != nil {
				t.Fatal(err)
			}
			defer q.close()
			if _, err := q.run(t.Context(), "system_reset", nil); err != nil {
				t.Fatal(err)
			}
		}, "kernel has stopped"},
	} {
		t.Run(name, func(t *testing.T) {
			s := spec(t, '1')
			started(t, m, s)
			conn, err := m.Connect(t.Context(), s.ID)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			// A VM that nobody sees end fails here, and not with the whole package.
			if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			test.end(t, s.ID)
			if n, err := conn.Read(make([]byte, 1)); err == nil {
				t.Errorf("read %d bytes of a VM that has ended", n)
			}
			took := time.Since(began)
			t.Logf("seen after %v", took)
			if took > seenWithin {
				t.Error("nobody saw it in time")
			}
			_, err = m.Connect(t.Context(), s.ID)
			if api.CodeOf(err) != api.NotFound || !strings.Contains(err.Error(), test.says) {
				t.Errorf("connect: %v, want %q", err, test.says)
			}
		})
	}
}

func signal(t *testing.T, m *Machine, id string, s unix.Signal) {
	t.Helper()
	if err := m.cgroups.Signal(m.group(id), s); err != nil {
		t.Fatal(err)
	}
}

// TestPanic: a guest whose kernel cannot go on says why.
func TestPanic(t *testing.T) {
	conf := newConfig(t)
	conf.Initramfs.ModulesFrom = withForeign(t, conf.Initramfs.ModulesFrom, "virtio.ko")
	m := newMachine(t, conf)
	began := time.Now()
	err := m.withBuilder(t.Context(), launch{shape: probeShape, accel: tcg}, func(v *vm) error {
		ctx, cancel := v.bound(t.Context())
		defer cancel()
		return v.request(ctx, guest.Request{Time: time.Now()})
	})
	for _, says := range []string{"virtio.ko: exec format error", "Kernel panic"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("without a module that its agent needs: %v, want %q", err, says)
		}
	}
	if took := time.Since(began); took > bootTime/2 {
		t.Errorf("told after %v", took)
	}
}

// withForeign makes a directory of the modules below another one, a named one for another
// processor.
func withForeign(t *testing.T, modules, name string) string {
	t.Helper()
	dir := t.TempDir()
	err := filepath.WalkDir(modules, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if d.Name() != name {
			return os.Symlink(path, filepath.Join(dir, d.Name()))
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		const machine = 0x12
		binary.LittleEndian.PutUint16(data[machine:], uint16(elf.EM_AARCH64))
		return os.WriteFile(filepath.Join(dir, name), data, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestConsole: a VM's kernel log is whole whether it booted or is a copy, and what came to its
// console stays when it is read.
func TestConsole(t *testing.T) {
	m := newMachine(t, newConfig(t))
	booted, copied := spec(t, '1'), spec(t, '2')
	started(t, m, booted) // there is no template yet
	if err := m.Prepare(t.Context(), copied.CPU, copied.Memory); err != nil {
		t.Fatal(err)
	}
	started(t, m, copied)
	for _, s := range []machine.Sandbox{booted, copied} {
		log, err := m.Console(t.Context(), s.ID)
		if err != nil || !strings.Contains(log, "] Linux version") || strings.HasPrefix(log, "<") || strings.Count(log, "PCI: Fatal") != 1 {
			t.Errorf("log %q, %v", log, err)
		}
	}
	first, err := m.console(t.Context(), booted.ID)
	if err != nil || !strings.Contains(first, "PCI") || strings.Contains(first, "Linux version") {
		t.Errorf("console %q, %v", first, err)
	}
	if again, err := m.console(t.Context(), booted.ID); err != nil || again != first {
		t.Errorf("read again it is %q, %v", again, err)
	}
	if _, err := m.Console(t.Context(), "s-ffffffffffff"); api.CodeOf(err) != api.NotFound {
		t.Errorf("of none: %v", err)
	}
}

// TestManyAsk: whoever asks QEMU something waits for those before.
func TestManyAsk(t *testing.T) {
	m := newMachine(t, newConfig(t))
	s := spec(t, '1')
	started(t, m, s)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			q, err := dialQMP(t.Context(), m.socket(s.ID, controlSocket))
			if err != nil {
				t.Error(err)
				return
			}
			defer q.close()
			if status, err := q.status(t.Context()); err != nil || status != "running" {
				t.Errorf("%q %v", status, err)
			}
		})
	}
	all.Wait()
}
