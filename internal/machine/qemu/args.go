package qemu

import (
	"fmt"
	"strconv"
	"strings"

	"cis/api"
	"cis/internal/agent/guest"
	"cis/internal/cgroup"
	"cis/internal/machine"
)

// consoleSize is how much of what the guest's kernel prints is kept, in bytes: a
// power of two.
const consoleSize = 64 << 10

// kernelArgs are the guest kernel's. Without PCI there is nothing to search for; a
// panic ends the VM.
const kernelArgs = "console=ttyS0 reboot=t panic=-1 quiet random.trust_cpu=on pci=off"

// baseArgs are those that need no file.
func (m *Machine) baseArgs(s machine.Sandbox) []string {
	return []string{
		"-M", "microvm,ioapic2=on", "-accel", fmt.Sprintf("tcg,thread=single,tb-size=%d", translated/api.MiB), "-cpu", "max", "-m", strconv.FormatInt(int64((s.Memory+kernelMemory)/api.MiB), 10) + "M", "-smp", strconv.Itoa(processors(s.CPU)),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
		"-append", kernelArgs,
		"-chardev", fmt.Sprintf("ringbuf,id=console,size=%d", consoleSize), "-serial", "chardev:console",
		"-device", "virtio-serial-device",
	}
}

func agentArgs(fd int) []string {
	return []string{
		"-chardev", fmt.Sprintf("socket,id=agent,fd=%d,server=on,wait=off", fd),
		"-device", "virtserialport,chardev=agent,name=" + guest.AgentPort,
	}
}

func controlArgs(fd int) []string {
	return []string{
		"-chardev", fmt.Sprintf("socket,id=control,fd=%d,server=on,wait=off", fd),
		"-mon", "chardev=control,mode=control",
	}
}

func netArgs(fd int, mac string) []string {
	return []string{
		"-netdev", fmt.Sprintf("tap,id=net,fd=%d,vhost=off", fd),
		"-device", "virtio-net-device,netdev=net,mac=" + mac,
	}
}

// diskArgs attach an open file as a disk that the guest finds by its serial number.
func diskArgs(readOnly bool, offset int64) func(fd int, serial string) []string {
	return func(fd int, serial string) []string {
		id := strings.ReplaceAll(serial, "-", "")
		drive := fmt.Sprintf("driver=raw,node-name=%s,file.driver=file,file.filename=/dev/fdset/%d", id, fd)
		if readOnly {
			drive += ",read-only=on"
		}
		if offset > 0 {
			drive += fmt.Sprintf(",offset=%d", offset)
		}
		return []string{
			"-add-fd", fmt.Sprintf("fd=%d,set=%d", fd, fd),
			"-blockdev", drive, "-device", fmt.Sprintf("virtio-blk-device,drive=%s,serial=%s", id, serial),
		}
	}
}

// processors that a VM sees: whole ones.
func processors(limit api.CPU) int {
	const core = 1000
	return max(1, int((limit+core-1)/core))
}

// kernelMemory is what a guest's kernel keeps for itself, beyond what its programs
// were promised. Measured: 36 MiB of 128.
const kernelMemory = 32 * api.MiB

// translated is how much of the guest's code is kept in the form that an emulated
// processor runs.
const translated = 64 * api.MiB

// overhead of a VM on the host beside the guest's own memory: QEMU with its devices,
// the kernel and the initramfs as it loaded them, and translated code. Measured: 135
// MiB without a bound for that code.
const overhead = 192 * api.MiB

// threads that QEMU may have beside its processors: those that serve the disks.
const threads = 128

// limits while the VM boots: of the processors it sees, so that a small share does
// not slow it down.
func limits(s machine.Sandbox) cgroup.Limits {
	n := processors(s.CPU)
	return cgroup.Limits{CPU: api.CPU(1000 * (n + 1)), Memory: s.Memory + kernelMemory + overhead, Pids: int64(n + threads)}
}
