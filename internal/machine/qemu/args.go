package qemu

import (
	"fmt"
	"strconv"

	"cis/api"
	"cis/internal/agent/guest"
	"cis/internal/cgroup"
)

// accelerator runs a guest's code.
type accelerator string

const (
	tcg accelerator = "tcg"
	kvm accelerator = "kvm"
)

const kvmDevice = "/dev/kvm"

// shape is what VMs of the same template have in common.
type shape struct {
	processors int
	memory     api.Bytes // of the guest
}

func shapeOf(cpu api.CPU, memory api.Bytes) shape {
	return shape{processors: processors(cpu), memory: memory + ownMemory(memory)}
}

// processors that a VM sees: whole ones.
func processors(limit api.CPU) int {
	const core = 1000
	return max(1, int((limit+core-1)/core))
}

// ownMemory is what a guest has for itself beyond what its programs were promised:
// kernel, initramfs, agent. Measured: 103 MiB of 288, of which page structures grow
// with the whole. It costs the host what of it is used.
func ownMemory(promised api.Bytes) api.Bytes { return 100*api.MiB + promised/40/api.MiB*api.MiB }

const (
	// translated is how much of the guest's code is kept in the form that an emulated
	// processor runs; where there would be more, all is thrown away and made anew. A boot
	// with a short program makes 68 MiB (QEMU's "info jit"), a copy with one 32.
	translated, translatedAtBoot = 64 * api.MiB, 128 * api.MiB
	// overhead of a VM on the host beside the guest's own memory: QEMU with its devices,
	// the kernel and the initramfs as it loaded them, and translated code. Measured: 135
	// MiB without a bound for that code.
	overhead = 192 * api.MiB
	// threads that QEMU may have beside its processors: those that serve the disks.
	threads = 128
	// consoleSize is how much of what the guest's kernel prints is kept, in bytes: a
	// power of two.
	consoleSize = 64 << 10
)

// startLimits are those until a VM is ready: enough cpu for what it sees and for QEMU
// itself, so that a small share does not slow its start down.
func (s shape) startLimits() cgroup.Limits {
	return cgroup.Limits{CPU: api.CPU(1000 * (s.processors + 1)), Memory: s.mostMemory(), Pids: int64(s.processors + threads)}
}

// mostMemory is what the kernel may count for a VM. A page that a copy is the first to write to,
// and that its template never touched, counts twice: the kernel makes it in the template's file
// before it copies it. The file keeps it for the copies to come.
func (s shape) mostMemory() api.Bytes { return 2*s.memory + overhead }

// kernelArgs are the guest kernel's. Without PCI there is nothing to search for; a
// panic ends the VM. The rest leaves out what it would do at every boot and no guest needs,
// and takes long where the processor is emulated: to try all of its ciphers, to rewrite its
// locks for a single processor, and to prepare for being traced.
const kernelArgs = "console=ttyS0 reboot=t panic=-1 quiet random.trust_cpu=on pci=off cryptomgr.notests noreplace-smp" +
	" initcall_blacklist=tracer_init_tracefs,ftrace_check_for_weak_functions,init_kprobe_trace"

// machineArgs describe a VM, the same whether it boots or is a copy.
func machineArgs(a accelerator, s shape) []string {
	args := []string{
		"-M", "microvm,memory-backend=memory", "-cpu", model(a),
		"-m", fmt.Sprintf("%dM", s.memory/api.MiB), "-smp", strconv.Itoa(s.processors),
		"-nodefaults", "-no-user-config", "-display", "none", "-action", "reboot=shutdown,shutdown=pause",
		"-rtc", "base=utc,clock=host",
		"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
		"-chardev", fmt.Sprintf("ringbuf,id=console,size=%d", consoleSize), "-serial", "chardev:console",
		"-device", "virtio-serial-device,max_ports=3,bus=" + bus(guest.PortsSlot),
		"-device", "virtio-balloon-device,free-page-reporting=on,bus=" + bus(guest.BalloonSlot),
	}
	for n := range guest.ReadOnlySlots {
		args = append(args, diskArgs(guest.FirstReadOnly+n, true)...)
	}
	for n := range guest.WritableSlots {
		args = append(args, diskArgs(guest.FirstWritable+n, false)...)
	}
	return args
}

// acceleratorArgs run the processors, an emulated one with room for so much translated code.
func acceleratorArgs(a accelerator, code api.Bytes) []string {
	if a == kvm {
		return []string{"-accel", "kvm"}
	}
	return []string{"-accel", fmt.Sprintf("tcg,tb-size=%d", code/api.MiB)}
}

// model of the processor. An emulated one fills and copies memory a byte at a time with the
// instructions that erms and fsrm recommend for it, and walks one more level of page tables
// with la57.
func model(a accelerator) string {
	if a == kvm {
		return "max"
	}
	return "max,-erms,-fsrm,-la57"
}

// bus is where a device's slot is.
func bus(slot int) string { return fmt.Sprintf("virtio-mmio-bus.%d", slot) }

// disk is the name of a slot's disk in QEMU.
func disk(slot int) string { return fmt.Sprintf("disk%d", slot) }

// diskArgs are a disk with nothing behind it: see plug. It takes no orders to discard
// or to write zeros, for which QEMU would make holes (see jail.Cell.KeepFiles).
func diskArgs(slot int, readOnly bool) []string {
	node := fmt.Sprintf("driver=raw,node-name=%s,file.driver=null-co,file.size=0,file.read-zeroes=on", disk(slot))
	if readOnly {
		node += ",read-only=on"
	}
	return []string{"-blockdev", node, "-device", fmt.Sprintf("virtio-blk-device,drive=%s,discard=off,write-zeroes=off,bus=%s", disk(slot), bus(slot))}
}

// ownMemoryArgs are the guest's memory where nobody else needs it. The host gives it in huge
// pages if it may: with the small ones of a file a kernel takes a tenth longer to boot.
func ownMemoryArgs(s shape) []string {
	return []string{"-object", fmt.Sprintf("memory-backend-ram,id=memory,size=%d", s.memory)}
}

// memoryArgs are the guest's memory: a file that is written to, or whose pages are
// copied when the guest writes to them.
func memoryArgs(s shape, fd int, shared bool) []string {
	share := "off"
	if shared {
		share = "on"
	}
	return []string{"-object", fmt.Sprintf("memory-backend-file,id=memory,size=%d,mem-path=/proc/self/fd/%d,share=%s", s.memory, fd, share)}
}

// bootArgs start a kernel.
func bootArgs(a accelerator, kernel, initramfs int) []string {
	// QEMU opens these by name; what is public may be opened once more.
	line := kernelArgs
	if a == tcg {
		// The counter is the clock: the kernel would compare it with its ticks, of which
		// a busy host loses some, and drop it.
		line += fmt.Sprintf(" tsc_early_khz=%d tsc=reliable", tscKHz())
	}
	return append(acceleratorArgs(a, translatedAtBoot),
		"-kernel", fmt.Sprintf("/proc/self/fd/%d", kernel), "-initrd", fmt.Sprintf("/proc/self/fd/%d", initramfs), "-append", line)
}

// placedArgs load a kernel to where its file says.
func placedArgs(fd int) []string {
	return []string{"-device", fmt.Sprintf("loader,file=/proc/self/fd/%d", fd)}
}

// copyArgs wait for the state of a template: see resume.
func copyArgs(a accelerator) []string {
	return append(acceleratorArgs(a, translated), "-incoming", "defer")
}

// portArgs are a port of the guest that a socket of the host leads to.
func portArgs(name string, fd int) []string {
	return []string{
		"-chardev", fmt.Sprintf("socket,id=%s,fd=%d,server=on,wait=off", name, fd),
		"-device", fmt.Sprintf("virtserialport,chardev=%s,name=%s", name, name),
	}
}

func controlArgs(fd int) []string {
	return []string{
		"-chardev", fmt.Sprintf("socket,id=control,fd=%d,server=on,wait=off", fd),
		"-mon", "chardev=control,mode=control",
	}
}

// netArgs are the interface of a VM with its tap.
func netArgs(fd int) []string {
	return netDevice(fmt.Sprintf("tap,id=net,fd=%d,vhost=off", fd))
}

// noNetArgs are the same interface without anything behind it.
func noNetArgs() []string { return netDevice("hubport,id=net,hubid=0") }

func netDevice(backend string) []string {
	return []string{"-netdev", backend, "-device", "virtio-net-device,netdev=net,bus=" + bus(guest.NetSlot)}
}
