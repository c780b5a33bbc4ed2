package doctor

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// vmPrograms are what cisd starts for microVMs, by the packages that have them.
var vmPrograms = map[string]string{"qemu-system-x86_64": "qemu-system-x86", "mke2fs": "e2fsprogs"}

// microVM looks for what microVMs need. gVisor needs none of it.
func (h *host) microVM(context.Context) Finding {
	var missing, packages []string
	for name, pkg := range vmPrograms {
		if _, err := exec.LookPath(name); err != nil {
			missing, packages = append(missing, name), append(packages, pkg)
		}
	}
	if _, err := os.Stat(filepath.Join(h.Libexec, "guest", "vmlinuz")); err != nil {
		missing = append(missing, "a kernel for guests")
	}
	return judgeVM(missing, packages, h.exists("/dev/kvm"))
}

func judgeVM(missing, packages []string, kvm bool) Finding {
	f := Finding{Check: "isolation vm"}
	switch {
	case len(missing) > 0:
		f.Level, f.Detail = Warning, "no microVMs can be made: missing "+strings.Join(missing, ", ")
		f.Next = "make up takes all of it"
		if len(packages) > 0 {
			f.Next += "; or apt-get install " + strings.Join(packages, " ")
		}
	case kvm:
		f.Detail = "/dev/kvm is there; whether it runs guests cisd tries once for each boot: see cis info"
	default:
		f.Detail = "no /dev/kvm: VMs are emulated, and slow; auto means gvisor here"
	}
	return f
}
