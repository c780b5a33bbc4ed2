package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/sys/unix"

	"cis/api"
	"cis/internal/osthread"
)

// hostOf is a host with these files, instead of the real one.
func hostOf(files map[string]string) *host {
	root := fstest.MapFS{}
	for name, content := range files {
		root[name] = &fstest.MapFile{Data: []byte(content + "\n")}
	}
	return &host{root: root, Options: Options{Ranges: []netip.Prefix{netip.MustParsePrefix("10.64.0.0/16")}}}
}

const cgroupV1 = `cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0
cgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0`

const routes = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010200C0	0003	0	0	0	00000000	0	0	0
cis-uabc	0000580A	00000000	0001	0	0	0	0000FFFF	0	0	0`

func TestReadingChecks(t *testing.T) {
	spaces := map[string]string{}
	for _, name := range []string{"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"} {
		spaces["proc/self/ns/"+name] = ""
		spaces["proc/sys/user/max_"+name+"_namespaces"] = "96000"
	}
	with := func(files map[string]string, name, content string) map[string]string {
		all := map[string]string{name: content}
		for k, v := range files {
			if k != name {
				all[k] = v
			}
		}
		return all
	}
	tests := []struct {
		name   string
		check  check
		files  map[string]string
		level  Level
		detail string
	}{
		{"kernel new", (*host).kernel, map[string]string{"proc/sys/kernel/osrelease": "6.1.0-32-amd64"}, OK, "Linux 6.1.0-32-amd64"},
		{"kernel at the limit", (*host).kernel, map[string]string{"proc/sys/kernel/osrelease": "5.4.0"}, OK, ""},
		{"kernel of a release candidate", (*host).kernel, map[string]string{"proc/sys/kernel/osrelease": "6.19-rc3"}, OK, ""},
		{"kernel old", (*host).kernel, map[string]string{"proc/sys/kernel/osrelease": "4.19.0-27-amd64"}, Problem, "4.19"},
		{"kernel unknown", (*host).kernel, nil, Problem, ""},
		{"seccomp", (*host).seccomp, map[string]string{"proc/self/status": "Seccomp:\t0\nSeccomp_filters:\t0"}, OK, ""},
		{"seccomp of older kernels", (*host).seccomp, map[string]string{"proc/sys/kernel/seccomp/actions_avail": "kill trap errno"}, OK, ""},
		{"seccomp missing", (*host).seccomp, nil, Problem, "no seccomp"},
		{"namespaces", (*host).namespaces, spaces, OK, ""},
		{"namespaces bounded", (*host).namespaces, with(spaces, "proc/sys/user/max_user_namespaces", "0"), Problem, "allows 0"},
		{"namespaces missing", (*host).namespaces, map[string]string{"proc/self/ns/mnt": ""}, Problem, "no cgroup namespaces"},
		{"ptrace", (*host).ptrace, map[string]string{"proc/sys/kernel/yama/ptrace_scope": "1"}, OK, ""},
		{"ptrace without yama", (*host).ptrace, nil, OK, ""},
		{"ptrace forbidden", (*host).ptrace, map[string]string{"proc/sys/kernel/yama/ptrace_scope": "3"}, Problem, "ptrace_scope is 3"},
		{"cgroups 2", (*host).cgroups, map[string]string{"sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids"}, OK, "version 2"},
		{"cgroups 2 without memory", (*host).cgroups, map[string]string{"sys/fs/cgroup/cgroup.controllers": "cpuset cpu io pids"}, Problem, "without the memory"},
		{"cgroups 1", (*host).cgroups, map[string]string{"proc/self/mounts": cgroupV1}, OK, "version 1"},
		{"cgroups missing", (*host).cgroups, nil, Problem, "without"},
		{"forwarding", (*host).forwarding, map[string]string{"proc/sys/net/ipv4/ip_forward": "1"}, OK, "on"},
		{"forwarding off", (*host).forwarding, map[string]string{"proc/sys/net/ipv4/ip_forward": "0"}, OK, "turns"},
		{"routes", (*host).routes, map[string]string{"proc/net/route": routes}, OK, "are free"},
		{"routes overlap", (*host).routes, map[string]string{"proc/net/route": routes + "\ntun0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0"}, Problem, "10.0.0.0/8 over tun0"},
		{"dns", (*host).dns, map[string]string{"etc/resolv.conf": "# x\nsearch a\nnameserver 192.0.2.1\nnameserver 2001:db8::1"}, OK, "192.0.2.1, 2001:db8::1"},
		{"dns missing", (*host).dns, map[string]string{"etc/resolv.conf": "nameserver"}, Warning, "no server"},
		{"memory", (*host).memory, map[string]string{"proc/meminfo": "MemTotal: 2048000 kB\nMemAvailable:   1048576 kB"}, OK, "1.0 GiB"},
		{"memory scarce", (*host).memory, map[string]string{"proc/meminfo": "MemAvailable:   1024 kB"}, Warning, "0.0 GiB"},
		{"memory unknown", (*host).memory, map[string]string{"proc/meminfo": "MemAvailable: x kB"}, Warning, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := hostOf(test.files).run(t.Context(), []check{test.check})[0]
			if f.Level != test.level || !strings.Contains(f.Detail, test.detail) {
				t.Errorf("got %+v, want %s with %q", f, test.level, test.detail)
			}
			if f.Level == Problem && f.Next == "" {
				t.Errorf("a problem without a next step: %+v", f)
			}
		})
	}
}

func TestJudgements(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		got  Finding
		want Level
	}{
		"vm":                 {judgeVM(nil, nil, true), ""},
		"vm emulated":        {judgeVM(nil, nil, false), ""},
		"vm missing":         {judgeVM([]string{"mke2fs"}, []string{"e2fsprogs"}, true), Warning},
		"disk":               {judgeSpace("/d", 50*api.GiB, 1000_000, 500_000), ""},
		"disk scarce":        {judgeSpace("/d", 3*api.GiB, 1000_000, 500_000), Warning},
		"disk full":          {judgeSpace("/d", 3*api.MiB, 1000_000, 500_000), Problem},
		"inodes scarce":      {judgeSpace("/d", 50*api.GiB, 1000_000, 5), Warning},
		"inodes not counted": {judgeSpace("/d", 50*api.GiB, 0, 0), ""},
		"clock":              {judgeClock(now, now.Add(-time.Hour), true), ""},
		"clock alone":        {judgeClock(now, now.Add(-time.Hour), false), Warning},
		"clock behind":       {judgeClock(now, now.Add(48*time.Hour), true), Problem},
	} {
		if test.got.Level != test.want {
			t.Errorf("%s: got %+v, want %q", name, test.got, test.want)
		}
	}
}

func TestServer(t *testing.T) {
	sick := api.Info{Isolations: []api.IsolationInfo{{Default: true, Detail: "runsc is missing"}}}
	for name, test := range map[string]struct {
		info  api.Info
		err   error
		level Level
	}{
		"well":   {api.Info{Version: "1"}, nil, OK},
		"silent": {api.Info{}, errors.New("connection refused"), Warning},
		"sick":   {sick, nil, Problem},
		"paused": {api.Info{Standby: []api.StandbyInfo{{Paused: "memory"}}}, nil, Warning},
	} {
		h := hostOf(nil)
		h.Server = func(context.Context) (api.Info, error) { return test.info, test.err }
		if f := h.run(t.Context(), []check{(*host).server})[0]; f.Level != test.level {
			t.Errorf("%s: got %+v, want %s", name, f, test.level)
		}
	}
}

func TestProgramsAreLookedFor(t *testing.T) {
	h := hostOf(nil)
	h.Libexec = t.TempDir()
	put := func(name, script string) {
		if err := os.WriteFile(filepath.Join(h.Libexec, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"cisd", "cis-agent", "cis-pause", "runsc"} {
		if f := h.programs(t.Context()); f.Level != Problem || !strings.Contains(f.Detail, name+" is not in") {
			t.Errorf("without %s: %+v", name, f)
		}
		put(name, "echo runsc version 7")
	}
	if f := h.programs(t.Context()); f.Level == Problem || !strings.Contains(f.Detail, "runsc version 7") {
		t.Errorf("all there: %+v", f)
	}
	put("runsc", "exit 1")
	if f := h.programs(t.Context()); f.Level != Problem {
		t.Errorf("broken runsc: %+v", f)
	}
	h.superuser = true
	if f := h.sandbox(t.Context()); f.Level != Problem {
		t.Errorf("sandbox with a broken runsc: %+v", f)
	}
}

// TestFirewallThatDropsIsSeen has a real one, in a network namespace of its own.
func TestFirewallThatDropsIsSeen(t *testing.T) {
	var before, after Finding
	err := osthread.Do(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		before = hostOf(nil).firewalls(t.Context())
		rules := "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }; " +
			"add chain ip filter INPUT { type filter hook input priority 0; policy drop; }"
		if out, err := exec.Command("nft", rules).CombinedOutput(); err != nil {
			return fmt.Errorf("nft: %w: %s", err, out)
		}
		after = hostOf(nil).firewalls(t.Context())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if before.Level != "" {
		t.Errorf("without rules: %+v", before)
	}
	if after.Level != Warning || !strings.Contains(after.Detail, "chain FORWARD of table filter") {
		t.Errorf("with rules: %+v", after)
	}
}

// TestThisHost makes every check on the real host: what the tests of the other
// packages need is there.
func TestThisHost(t *testing.T) {
	bin, err := filepath.Abs("../../bin")
	if err != nil {
		t.Fatal(err)
	}
	findings := Run(t.Context(), Options{DataDir: filepath.Join(t.TempDir(), "not", "there"), Libexec: bin})
	for _, f := range findings {
		t.Logf("%-8s %-18s %s", f.Level, f.Check, f.Detail)
	}
	if !Healthy(findings) {
		t.Error("this host is not fit for cis")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(routes), "6.1.0")
	f.Add([]byte{2, 0, 0, 0, 12, 0, 4, 0, 8, 0, 1, 0, 0, 0, 0, 2}, "5")
	f.Fuzz(func(t *testing.T, data []byte, release string) {
		parseChain(data)
		for _, r := range parseRoutes(string(data)) {
			if !r.to.IsValid() {
				t.Errorf("invalid route %v", r)
			}
		}
		older(release, oldest)
		if n, ok := parseMeminfo(string(data), "MemAvailable"); ok && n < 0 {
			t.Errorf("negative memory %d", n)
		}
	})
}
