package qemu

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"cis/internal/agent/guest"
	"cis/internal/machine"
	"cis/internal/machine/qemu/jail"
	"cis/internal/osthread"
)

// launch is the start of one QEMU.
type launch struct {
	id    string
	shape shape
	// template to copy; nil: it boots.
	template *template
	// memory to boot in, which stays when the VM has gone; nil: of the VM's own.
	memory *os.File
	// tap behind the interface, which launch closes; nil: nothing.
	tap *os.File
	// accel, unless the template says it.
	accel accelerator

	files []*os.File // that QEMU gets, in their order
	args  []string
}

// vm is a QEMU that runs.
type vm struct {
	m  *Machine
	id string
	// ended tells of QEMU's end, as long as the process that started it lives; QEMU
	// outlives that.
	ended <-chan error
}

// launch starts a QEMU, in a directory that is there.
func (m *Machine) launch(ctx context.Context, l launch) (*vm, error) {
	defer func() {
		for _, f := range l.files {
			f.Close()
		}
	}()
	if err := l.prepare(ctx, m); err != nil {
		return nil, err
	}
	if err := m.cgroups.Create(m.group(l.id), l.shape.startLimits()); err != nil {
		return nil, err
	}
	ended, err := m.run(l)
	if err != nil {
		return nil, err
	}
	v := &vm{m: m, id: l.id, ended: ended}
	if l.template != nil {
		if err := v.resume(ctx, l.template); err != nil {
			return nil, m.explain(ctx, v, err)
		}
	}
	return v, nil
}

// pass hands a file over; the result is its descriptor in QEMU.
func (l *launch) pass(f *os.File) int {
	l.files = append(l.files, f)
	return 2 + len(l.files)
}

// open passes a file that is to be read.
func (l *launch) open(path string) (int, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	return l.pass(file), nil
}

// prepare opens the files and writes the command line.
func (l *launch) prepare(ctx context.Context, m *Machine) error {
	if l.tap != nil {
		l.args = append(l.args, netArgs(l.pass(l.tap))...)
	} else {
		l.args = append(l.args, noNetArgs()...)
	}
	if l.template == nil {
		if err := l.boot(ctx, m); err != nil {
			return err
		}
	} else if err := l.copy(); err != nil {
		return err
	}
	// The name shows in lists of processes whose this one is.
	l.args = slices.Concat([]string{"-name", m.dir(l.id)}, machineArgs(l.accel, l.shape), l.args)
	for _, port := range []string{guest.AgentPort, guest.RequestPort} {
		socket, err := listen(m.socket(l.id, port))
		if err != nil {
			return err
		}
		l.args = append(l.args, portArgs(port, l.pass(socket))...)
	}
	control, err := listen(m.socket(l.id, controlSocket))
	if err != nil {
		return err
	}
	l.args = append(l.args, controlArgs(l.pass(control))...)
	return nil
}

func (l *launch) boot(ctx context.Context, m *Machine) error {
	_, err := m.build(ctx) // which writes the initramfs
	if err != nil {
		return err
	}
	if l.accel == "" {
		if l.accel, _, err = m.accelerator(ctx); err != nil {
			return err
		}
	}
	kernel, err := m.bootable()
	if err != nil {
		return err
	}
	var fds [2]int
	for i, path := range []string{kernel.start, m.initramfsPath()} {
		if fds[i], err = l.open(path); err != nil {
			return err
		}
	}
	l.args = append(l.args, bootArgs(l.accel, fds[0], fds[1])...)
	if kernel.placed != "" {
		placed, err := l.open(kernel.placed)
		if err != nil {
			return err
		}
		l.args = append(l.args, placedArgs(placed)...)
	}
	if l.memory == nil {
		l.args = append(l.args, ownMemoryArgs(l.shape)...)
		return nil
	}
	memory, err := duplicate(l.memory)
	if err != nil {
		return err
	}
	l.args = append(l.args, memoryArgs(l.shape, l.pass(memory), true)...)
	return nil
}

func (l *launch) copy() error {
	l.accel = l.template.accel
	memory, err := duplicate(l.template.memory)
	if err != nil {
		return err
	}
	l.args = append(l.args, memoryArgs(l.shape, l.pass(memory), false)...)
	l.args = append(l.args, copyArgs(l.accel)...)
	return nil
}

// duplicate makes another descriptor of an open file.
func duplicate(f *os.File) (*os.File, error) {
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		return nil, err
	}
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// listen makes a socket that QEMU will accept connections on.
func listen(path string) (*os.File, error) {
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	listener.SetUnlinkOnClose(false)
	return listener.File()
}

// run starts QEMU in its jail.
func (m *Machine) run(l launch) (<-chan error, error) {
	log, err := os.OpenFile(m.logFile(l.id), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cell := jail.Cell{Root: filepath.Join(m.dir(l.id), "root"), User: userOf(l.id), Args: append([]string{m.conf.QEMU}, l.args...)}
	cell.KeepFiles = l.template != nil
	if l.accel == kvm {
		cell.Device = kvmDevice
	}
	if err := os.Mkdir(cell.Root, 0o755); err != nil {
		return nil, err
	}
	cmd := exec.Command(m.conf.Initramfs.Agent, cell.Command()...)
	cmd.Dir, cmd.Env = "/", []string{}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = l.files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: jail.Namespaces}
	if err := osthread.Do(func() error { return m.cgroups.Start(cmd, m.group(l.id)) }); err != nil {
		return nil, fmt.Errorf("start QEMU: %w", err)
	}
	machine.Expendable(cmd.Process.Pid)
	ended := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		if err == nil {
			err = errors.New("it was shut down")
		}
		m.conf.Log.Debug("a QEMU ended", "sandbox", l.id, "how", err)
		ended <- err
	}()
	return ended, nil
}

// bootTime is how long a VM may take until its guest answers, emulated and on a busy
// host.
const bootTime = 60 * time.Second

// bound ends a context with QEMU or the guest's kernel, or when a VM should long be
// ready.
func (v *vm) bound(ctx context.Context) (context.Context, func()) {
	ctx, cancelTime := context.WithTimeoutCause(ctx, bootTime, fmt.Errorf("the guest does not answer after %v", bootTime))
	ctx, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		cancel(v.failure(ctx))
	}()
	return ctx, func() {
		cancel(nil)
		cancelTime()
		<-watched
	}
}

// failure waits for the end of a VM, or for that of ctx.
func (v *vm) failure(ctx context.Context) error {
	look := time.NewTicker(heartbeat)
	defer look.Stop()
	for {
		select {
		case err := <-v.ended:
			return fmt.Errorf("QEMU ended: %w", err)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-look.C:
			if status, err := v.m.status(ctx, v.id); err == nil && stopped(status) {
				return errKernelStopped
			}
		}
	}
}
