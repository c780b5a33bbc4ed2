package qemu

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"cis/api"
	"cis/internal/agent/guest"
	"cis/internal/cgroup"
	"cis/internal/machine"
	"cis/internal/machine/qemu/jail"
	"cis/internal/osthread"
)

// bootTime is how long a VM may take until its agent answers, emulated and on a busy
// host.
const bootTime = 60 * time.Second

// Start implements machine.Machine.
func (m *Machine) Start(ctx context.Context, s machine.Sandbox) error {
	if err := checkID(s.ID); err != nil {
		return err
	}
	// What makes the ID unique is made first: a sandbox that is there already stays.
	if err := os.Mkdir(m.dir(s.ID), 0o700); err != nil {
		return fmt.Errorf("start sandbox %s: %w", s.ID, err)
	}
	if err := m.start(ctx, s); err != nil {
		// What was begun goes, even when ctx has ended meanwhile.
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return fmt.Errorf("start sandbox %s: %w", s.ID, errors.Join(err, m.Destroy(after, s.ID)))
	}
	return nil
}

func (m *Machine) start(ctx context.Context, s machine.Sandbox) error {
	if err := m.ensureInitramfs(); err != nil {
		return err
	}
	vm := &launch{machine: m, sandbox: s}
	defer vm.close()
	if err := vm.prepare(ctx); err != nil {
		return err
	}
	if err := m.cgroups.Create(m.group(s.ID), limits(s)); err != nil {
		return err
	}
	ended, err := vm.run()
	if err != nil {
		return err
	}
	if err := m.awaitAgent(ctx, s.ID, ended); err != nil {
		return err
	}
	return m.cgroups.Set(m.group(s.ID), cgroup.Limits{CPU: s.CPU})
}

// awaitAgent waits until the agent in the VM answers.
func (m *Machine) awaitAgent(ctx context.Context, id string, ended <-chan error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, bootTime, errors.New("the agent in the VM does not answer"))
	defer cancel()
	answered := make(chan error, 1)
	go func() {
		conn, err := m.Connect(ctx, id)
		if err == nil {
			conn.Close()
		}
		answered <- err
	}()
	select {
	case err := <-answered:
		if err == nil {
			return nil
		}
		return m.withConsole(ctx, id, err)
	case err := <-ended:
		return fmt.Errorf("QEMU ended: %w: %s", err, m.lastWords(id))
	}
}

// withConsole adds what the guest's kernel said last, as long as it can be asked.
func (m *Machine) withConsole(ctx context.Context, id string, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if text, asked := m.console(ctx, id); asked == nil && text != "" {
		return fmt.Errorf("%w; the console's last lines: %s", err, tail(text))
	}
	return err
}

// lastWords are the end of QEMU's own log.
func (m *Machine) lastWords(id string) string {
	data, _ := os.ReadFile(filepath.Join(m.dir(id), "qemu.log"))
	return tail(string(data))
}

// tail is the end of a text, a few lines at most.
func tail(text string) string {
	const size = 1000
	text = strings.TrimSpace(strings.ToValidUTF8(text, ""))
	return text[max(0, len(text)-size):]
}

// launch is the start of one VM: the files that QEMU gets, in their order.
type launch struct {
	machine *Machine
	sandbox machine.Sandbox
	files   []*os.File
	args    []string
	drives  int
	tap     *tap
}

func (l *launch) close() {
	for _, f := range l.files {
		f.Close()
	}
}

// pass hands a file over; the result is its descriptor in QEMU.
func (l *launch) pass(f *os.File) int {
	l.files = append(l.files, f)
	return 2 + len(l.files)
}

// prepare makes the disks and sockets and writes the command line.
func (l *launch) prepare(ctx context.Context) error {
	l.args = l.machine.baseArgs(l.sandbox)
	for _, boot := range []struct{ option, path string }{{"-kernel", l.machine.conf.Kernel}, {"-initrd", l.machine.initramfs()}} {
		file, err := os.Open(boot.path)
		if err != nil {
			return err
		}
		// QEMU opens these by name; what is public may be opened once more.
		l.args = append(l.args, boot.option, fmt.Sprintf("/proc/self/fd/%d", l.pass(file)))
	}
	for _, socket := range []struct {
		path string
		args func(fd int) []string
	}{
		{l.machine.agentSocket(l.sandbox.ID), agentArgs}, {l.machine.controlSocket(l.sandbox.ID), controlArgs},
	} {
		file, err := listen(socket.path)
		if err != nil {
			return err
		}
		l.args = append(l.args, socket.args(l.pass(file))...)
	}
	var err error
	if l.tap, err = openTap(l.sandbox.NIC.NetNS); err != nil {
		return err
	}
	l.args = append(l.args, netArgs(l.pass(l.tap.file), l.tap.mac.String())...)
	return l.disks(ctx)
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

func (l *launch) disks(ctx context.Context) error {
	config, err := l.config()
	if err != nil {
		return err
	}
	if err := l.readOnly(config, guest.ConfigDisk, 0); err != nil {
		return err
	}
	if err := l.writable(ctx, guest.ScratchDisk, scratchSize(l.sandbox.Layers)); err != nil {
		return err
	}
	for n := range l.sandbox.Layers {
		if err := l.writable(ctx, guest.LayerDisk(n), l.sandbox.Storage); err != nil {
			return err
		}
	}
	for n, volume := range diskVolumes(l.sandbox) {
		if err := l.writable(ctx, guest.VolumeDisk(n), volume.SizeLimit); err != nil {
			return err
		}
	}
	for n, image := range l.sandbox.Images {
		if err := l.readOnly(image.Path, guest.ImageDisk(n), image.Offset); err != nil {
			return err
		}
	}
	return nil
}

// writable makes a disk and adds it.
func (l *launch) writable(ctx context.Context, serial string, size api.Bytes) error {
	path, err := l.machine.makeDisk(ctx, l.sandbox.ID, serial, size)
	if err != nil {
		return fmt.Errorf("make disk %s: %w", serial, err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return l.add(file, serial, diskArgs(false, 0))
}

// readOnly adds a disk that is there.
func (l *launch) readOnly(path, serial string, offset int64) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return l.add(file, serial, diskArgs(true, offset))
}

// maxDisks is what a microvm has transports for, beside the port and the network.
const maxDisks = 22

func (l *launch) add(file *os.File, serial string, args func(fd int, serial string) []string) error {
	l.args = append(l.args, args(l.pass(file), serial)...)
	if l.drives++; l.drives > maxDisks {
		return api.Errorf(api.Invalid, "the instance needs more than %d disks for its images, containers and volumes, which is what a VM has room for", maxDisks).
			WithNext("use fewer, or `--isolation gvisor`")
	}
	return nil
}

// diskVolumes are the volumes that need a disk.
func diskVolumes(s machine.Sandbox) []machine.Volume {
	return slices.DeleteFunc(slices.Clone(s.Volumes), func(v machine.Volume) bool { return v.Memory })
}

// seedSize is enough for the kernel's generator, in bytes.
const seedSize = 64

// config writes the disk that makes this VM differ from others.
func (l *launch) config() (string, error) {
	s := l.sandbox
	seed := make([]byte, seedSize)
	rand.Read(seed)
	c := guest.Config{Hostname: s.Hostname, Address: s.NIC.Address, MAC: l.tap.mac.String(), Gateway: s.NIC.Gateway, MTU: l.tap.mtu,
		Time: time.Now(), Seed: seed}
	c.Layers = s.Layers
	for _, image := range s.Images {
		c.Images = append(c.Images, image.Path)
	}
	for _, volume := range diskVolumes(s) {
		c.Volumes = append(c.Volumes, volume.Name)
	}
	data, err := c.Disk()
	if err != nil {
		return "", err
	}
	path := filepath.Join(l.machine.dir(s.ID), "config.disk")
	return path, os.WriteFile(path, data, 0o600)
}

// run starts QEMU. What it returns is told of QEMU's end, as long as this process
// lives; QEMU outlives it.
func (l *launch) run() (<-chan error, error) {
	m, id := l.machine, l.sandbox.ID
	log, err := os.OpenFile(filepath.Join(m.dir(id), "qemu.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cell := jail.Cell{Root: filepath.Join(m.dir(id), "root"), User: userOf(id), Args: append([]string{m.conf.QEMU}, l.args...)}
	if err := os.Mkdir(cell.Root, 0o755); err != nil {
		return nil, err
	}
	cmd := exec.Command(m.conf.Initramfs.Agent, cell.Command()...)
	cmd.Dir, cmd.Env = "/", []string{}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = l.files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: jail.Namespaces}
	if err := osthread.Do(func() error { return m.cgroups.Start(cmd, m.group(id)) }); err != nil {
		return nil, fmt.Errorf("start QEMU: %w", err)
	}
	ended := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		if err == nil {
			err = errors.New("the VM was shut down")
		}
		m.conf.Log.Info("a QEMU ended", "sandbox", id, "how", err)
		ended <- err
	}()
	return ended, nil
}
