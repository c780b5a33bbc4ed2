package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// oldest is the oldest kernel that is supported: NAT in tables of family inet came
// with Linux 5.2, and 5.4 is the first long-term kernel after it.
const oldest = "5.4"

func (h *host) kernel(context.Context) Finding {
	release := h.read("/proc/sys/kernel/osrelease")
	f := Finding{Check: "kernel", Detail: "Linux " + release}
	if older(release, oldest) {
		f.Level, f.Next = Problem, "install Linux "+oldest+" or newer"
	}
	return f
}

// older compares major and minor of two kernel releases. One that cannot be read
// is older.
func older(release, than string) bool {
	a, okA := parseRelease(release)
	b, okB := parseRelease(than)
	return !okA || !okB || slices.Compare(a, b) < 0
}

func parseRelease(s string) ([]int, bool) {
	fields := strings.SplitN(s, ".", 3)
	if len(fields) < 2 {
		return nil, false
	}
	// The minor may have a suffix: 6.1-rc3.
	minor, _, _ := strings.Cut(fields[1], "-")
	x, err := strconv.Atoi(fields[0])
	y, err2 := strconv.Atoi(minor)
	return []int{x, y}, err == nil && err2 == nil
}

func (h *host) seccomp(context.Context) Finding {
	f := Finding{Check: "seccomp", Detail: "filters work"}
	if !strings.Contains(h.read("/proc/self/status"), "Seccomp_filters:") && !strings.Contains(h.read("/proc/sys/kernel/seccomp/actions_avail"), "trap") {
		f.Level, f.Detail, f.Next = Problem, "the kernel has no seccomp filters", "use a kernel with CONFIG_SECCOMP_FILTER"
	}
	return f
}

// spaces are the namespaces that sandboxes are made of, by their names in
// /proc/self/ns, with the file in /proc/sys/user that bounds their number.
var spaces = []string{"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"}

func (h *host) namespaces(context.Context) Finding {
	f := Finding{Check: "namespaces", Detail: strings.Join(spaces, ", ")}
	for _, name := range spaces {
		if !h.link("/proc/self/ns/" + name) {
			f.Level, f.Detail, f.Next = Problem, "the kernel has no "+name+" namespaces", "use a distribution's kernel"
			return f
		}
		limit := "/proc/sys/user/max_" + name + "_namespaces"
		if n, err := strconv.Atoi(h.read(limit)); err == nil && n < 1000 {
			f.Level, f.Detail = Problem, fmt.Sprintf("%s allows %d namespaces", limit, n)
			f.Next = "sysctl -w user.max_" + name + "_namespaces=10000, and put it into /etc/sysctl.d"
			return f
		}
	}
	return f
}

// link tells whether a directory has an entry of that name, wherever it points.
func (h *host) link(path string) bool {
	dir, name := path[:strings.LastIndex(path, "/")], path[strings.LastIndex(path, "/")+1:]
	entries, err := fs.ReadDir(h.root, strings.TrimPrefix(dir, "/"))
	return err == nil && slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == name })
}

// ptrace is what gVisor's platform systrap takes hold of its stub processes by.
func (h *host) ptrace(context.Context) Finding {
	f := Finding{Check: "ptrace", Detail: "allowed"}
	if h.read("/proc/sys/kernel/yama/ptrace_scope") == "3" {
		f.Level, f.Detail, f.Next = Problem, "kernel.yama.ptrace_scope is 3: gVisor cannot run", "set it to 2 or less in /etc/sysctl.d and restart the machine"
	}
	return f
}

// controllers that limits need.
var controllers = []string{"cpu", "memory", "pids"}

func (h *host) cgroups(context.Context) Finding {
	f := Finding{Check: "cgroups"}
	const root = "/sys/fs/cgroup"
	enabled, version := strings.Fields(h.read(root+"/cgroup.controllers")), 2
	if !h.exists(root + "/cgroup.controllers") {
		version = 1
		for _, m := range strings.Split(h.read("/proc/self/mounts"), "\n") {
			// device, mount point, type, options
			if fields := strings.Fields(m); len(fields) > 3 && fields[2] == "cgroup" {
				enabled = append(enabled, strings.Split(fields[3], ",")...)
			}
		}
	}
	f.Detail = fmt.Sprintf("version %d with %s", version, strings.Join(controllers, ", "))
	for _, c := range controllers {
		if !slices.Contains(enabled, c) {
			f.Level, f.Detail = Problem, fmt.Sprintf("version %d without the %s controller", version, c)
			f.Next = "boot with systemd.unified_cgroup_hierarchy=1, and with cgroup_enable=memory where the kernel turns it off"
		}
	}
	return f
}
