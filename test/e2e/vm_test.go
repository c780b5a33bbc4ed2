package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"cis/api"
	"cis/test/stage"
)

// TestVM is what only VMs have, on a cisd that makes VMs unless told otherwise.
func TestVM(t *testing.T) {
	s := open(t, stage.Config{Flags: []string{"-isolation", "vm", "-standby", "1"}})
	for name, test := range map[string]func(*env){
		"the host says what runs VMs": func(e *env) {
			info, err := e.stage.Client.Info(e.Context())
			if err != nil {
				e.Fatal(err)
			}
			for _, i := range info.Isolations {
				if i.Isolation == api.IsolationVM && (!i.Available || !i.Default || !strings.Contains(i.Detail, "QEMU")) {
					e.Errorf("%+v", i)
				}
			}
		},
		"who asks for a VM is told if it is emulated": func(e *env) {
			in := e.get(e.start("--", "sleep", "1000"))
			said := strings.Contains(e.run("--", "true").Stderr, "emulated")
			if said != in.Status.Emulated {
				e.Errorf("emulated: %v, warned: %v", in.Status.Emulated, said)
			}
			if r := e.cis("run", "--rm", e.stage.Image, "true"); r.Code != 0 || r.Stderr != "" {
				e.Errorf("without asking: %+v", r)
			}
		},
		"a standby VM becomes an instance, of another cisd too": func(e *env) {
			e.until("one waits", func() bool { return e.waiting() == 1 })
			there, err := os.ReadDir(filepath.Join(e.stage.Dir, "data", "vms"))
			if err := errors.Join(err, e.stage.Stop()); err != nil {
				e.Fatal(err)
			}
			e.again()
			e.until("it waits again", func() bool { return e.waiting() == 1 })
			name := e.name()
			e.ok("run", "-d", "--name", name, e.stage.Image, "sleep", "1000")
			in := e.get(name)
			if id := e.sandbox(name); !slices.ContainsFunc(there, func(dir os.DirEntry) bool { return dir.Name() == id }) {
				e.Errorf("its sandbox %s was not there before: %v", id, there)
			}
			if !in.Status.Standby || in.Status.Isolation != api.IsolationVM {
				e.Errorf("%+v", in.Status)
			}
			e.equal("host name", e.ok("exec", name, "hostname"), name+"\n")
			e.ok("exec", name, "ping", "-c", "1", "-W", "5", in.Status.Address)
		},
		"the kernel's log": func(e *env) {
			name := e.start("--", "sleep", "1000")
			if log := e.ok("console", name); !strings.Contains(log, "Linux version") {
				e.Errorf("a kernel's log of %q", log)
			}
			e.fails(1, []string{"nosuch"}, "console", "nosuch")
			e.ok("run", "-d", "--name", name+"-g", "--isolation", "gvisor", e.stage.Image, "sleep", "1000")
			e.fails(1, []string{"no kernel of its own", "--isolation vm"}, "console", name+"-g")
			e.ok("rm", "-f", name+"-g")
		},
		"a clock that went wrong is put right": func(e *env) {
			name := e.start("--cap-add", "SYS_TIME", "--", "sleep", "1000")
			e.ok("exec", name, "date", "-s", "2020-01-01 00:00:00")
			e.until("the clock is right again", func() bool {
				at, err := strconv.ParseInt(strings.TrimSpace(e.ok("exec", name, "date", "+%s")), 10, 64)
				return err == nil && time.Since(time.Unix(at, 0)).Abs() < time.Minute
			})
		},
		"a QEMU that stands still is a lost sandbox": func(e *env) {
			name := e.start("--restart", "always", "--", "sleep", "1000")
			e.equal("processes stopped", e.stage.SignalSandbox(e.sandbox(name), syscall.SIGSTOP), 1)
			e.when(name, "restarted", func(in api.Instance) bool {
				return running(in) && in.Status.ContainerStatuses[0].RestartCount > 0
			})
			if ev, ok := e.events(name)["BackOff"]; !ok || !strings.Contains(ev.Message, "stands still") {
				e.Errorf("event: %+v", ev)
			}
		},
	} {
		t.Run(name, func(t *testing.T) { test(&env{T: t, stage: s, isolation: "vm"}) })
	}
}

// waiting is how many sandboxes are on standby.
func (e *env) waiting() int {
	info, err := e.stage.Client.Info(e.Context())
	if err != nil || len(info.Standby) != 1 {
		return 0
	}
	return info.Standby[0].Ready
}
