package cgroup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Device is a character device, by the numbers of its kind.
type Device struct {
	Major, Minor uint32
}

// AnyMinor stands for all minor numbers.
const AnyMinor = ^uint32(0)

// AllowDevices lets the processes of a group, and of those below it, read and write
// these devices and no others, for good. Files of any device can be made, by whoever
// may. It is for version 2 only.
func (t *Tree) AllowDevices(group string, devices []Device) error {
	if err := t.allowDevices(group, devices); err != nil {
		return fmt.Errorf("allow devices in cgroup %s: %w", group, err)
	}
	return nil
}

func (t *Tree) allowDevices(group string, devices []Device) error {
	if !t.v2 {
		return errors.ErrUnsupported
	}
	dir, err := os.Open(filepath.Join(t.root, group))
	if err != nil {
		return err
	}
	defer dir.Close()
	program, err := loadProgram(deviceProgram(devices))
	// The kernel gives a check up when a signal comes, as the Go runtime's own do.
	for tries := 0; errors.Is(err, unix.EAGAIN) && tries < 100; tries++ {
		program, err = loadProgram(deviceProgram(devices))
	}
	if err != nil {
		return fmt.Errorf("load the program: %w", err)
	}
	defer unix.Close(program)
	// The layout is that of union bpf_attr for BPF_PROG_ATTACH, see bpf(2).
	attr := struct{ target, program, kind, flags uint32 }{uint32(dir.Fd()), uint32(program), unix.BPF_CGROUP_DEVICE, 0}
	_, err = bpf(unix.BPF_PROG_ATTACH, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	return err
}

// loadProgram hands the kernel a program that decides on devices.
func loadProgram(code []instruction) (fd int, err error) {
	var text []byte
	for _, i := range code {
		text = append(text, i.op, i.source<<4|i.target)
		text = binary.NativeEndian.AppendUint16(text, uint16(i.offset))
		text = binary.NativeEndian.AppendUint32(text, uint32(i.value))
	}
	license := []byte("Apache-2.0\x00")
	// The layout is that of union bpf_attr for BPF_PROG_LOAD.
	attr := struct {
		kind, count   uint32
		code, license unsafe.Pointer
	}{unix.BPF_PROG_TYPE_CGROUP_DEVICE, uint32(len(code)), unsafe.Pointer(&text[0]), unsafe.Pointer(&license[0])}
	fd, err = bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(text)
	runtime.KeepAlive(license)
	return fd, err
}

func bpf(command uintptr, attr unsafe.Pointer, size uintptr) (int, error) {
	fd, _, errno := unix.Syscall(unix.SYS_BPF, command, uintptr(attr), size)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// instruction is one of eBPF's, see the kernel's
// Documentation/bpf/standardization/instruction-set.rst.
type instruction struct {
	op             uint8
	target, source uint8
	offset         int16
	value          int32
}

// Operations that deviceProgram needs.
const (
	loadWord   = 0x61 // target = the word at source + offset
	andValue   = 0x57 // target &= value
	shiftRight = 0x77 // target >>= value
	setValue   = 0xb7 // target = value
	skipEqual  = 0x15 // if target == value skip offset instructions
	skipOther  = 0x55 // if target != value skip offset instructions
	leave      = 0x95 // answer with register 0
)

// deviceProgram answers 1 for what is allowed. The kernel gives it a struct
// bpf_cgroup_dev_ctx: the access in the upper half of the first word and the type in
// its lower half, then the major and the minor number.
func deviceProgram(devices []Device) []instruction {
	const answer, context, access, kind, major, minor = 0, 1, 2, 3, 4, 5
	accept := []instruction{{op: setValue, target: answer, value: 1}, {op: leave}}
	code := []instruction{
		{op: loadWord, target: access, source: context},
		{op: loadWord, target: kind, source: context},
		{op: andValue, target: kind, value: 0xffff},
		{op: shiftRight, target: access, value: 16},
		{op: loadWord, target: major, source: context, offset: 4},
		{op: loadWord, target: minor, source: context, offset: 8},
		{op: skipOther, target: access, value: unix.BPF_DEVCG_ACC_MKNOD, offset: 2},
	}
	code = append(code, accept...)
	code = append(code,
		instruction{op: skipEqual, target: kind, value: unix.BPF_DEVCG_DEV_CHAR, offset: 2},
		instruction{op: setValue, target: answer}, instruction{op: leave})
	for _, d := range devices {
		if d.Minor == AnyMinor {
			code = append(code, instruction{op: skipOther, target: major, value: int32(d.Major), offset: 2})
		} else {
			code = append(code, instruction{op: skipOther, target: major, value: int32(d.Major), offset: 3},
				instruction{op: skipOther, target: minor, value: int32(d.Minor), offset: 2})
		}
		code = append(code, accept...)
	}
	return append(code, instruction{op: setValue, target: answer}, instruction{op: leave})
}
