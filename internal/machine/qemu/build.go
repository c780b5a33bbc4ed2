package qemu

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"cis/api"
	"cis/internal/machine/qemu/initramfs"
)

// build identifies what VMs are started with.
type build struct {
	// version of QEMU, in words.
	version string
	// key changes with QEMU, the kernel and the initramfs, and with the processors and devices
	// that VMs are given.
	key string
}

// build writes what VMs are started with and finds out which it is, once.
func (m *Machine) build(ctx context.Context) (build, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.built.key != "" {
		return m.built, nil
	}
	b, err := m.newBuild(ctx)
	if err != nil {
		return build{}, err
	}
	m.built = b
	return b, nil
}

func (m *Machine) newBuild(ctx context.Context) (build, error) {
	version, err := m.version(ctx)
	if err != nil {
		return build{}, err
	}
	err = m.replace(m.initramfsPath(), func(to *os.File) error { return initramfs.Write(to, m.conf.Initramfs) })
	if err != nil {
		return build{}, err
	}
	err = m.replace(m.rehearsalPath(), writeRehearsal)
	if err != nil {
		return build{}, fmt.Errorf("write the image of rehearsals: %w", err)
	}
	sum := sha256.New()
	for _, path := range []string{m.conf.Kernel, m.initramfsPath(), m.rehearsalPath(), m.conf.QEMU} {
		if err := hashFile(sum, path); err != nil {
			return build{}, err
		}
	}
	any := shape{processors: 1, memory: api.MiB}
	fmt.Fprintln(sum, machineArgs(tcg, any), machineArgs(kvm, any), kernelArgs)
	return build{version: version, key: hex.EncodeToString(sum.Sum(nil)[:8])}, nil
}

func hashFile(to io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(to, f)
	return err
}

// version asks QEMU for its version.
func (m *Machine) version(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, m.conf.QEMU, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", m.conf.QEMU, err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line, nil
}

// replace writes a file as a whole or not at all. What a crash leaves of it is written over
// by the next one.
func (m *Machine) replace(path string, write func(*os.File) error) error {
	file, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if err := write(file); err != nil {
		return err
	}
	if err := file.Chmod(0o644); err != nil { // nothing in it is secret, and no QEMU runs as root
		return err
	}
	return os.Rename(file.Name(), path)
}

func (m *Machine) initramfsPath() string { return filepath.Join(m.conf.Dir, "initramfs.cpio") }
func (m *Machine) templatesDir() string  { return filepath.Join(m.conf.Dir, "templates") }

// templateDir is where the templates are that fit the build and the accelerator.
func (m *Machine) templateDir(ctx context.Context) (string, accelerator, error) {
	b, err := m.build(ctx)
	if err != nil {
		return "", "", err
	}
	a, _, err := m.accelerator(ctx)
	return filepath.Join(m.templatesDir(), b.key+"-"+string(a)), a, err
}
