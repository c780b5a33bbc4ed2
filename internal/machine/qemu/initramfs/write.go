package initramfs

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// Where things are in the archive.
const (
	// ToolPath is the program that the agent runs.
	ToolPath = "/bin/cis-pause"
	// ModulesDir holds the modules; their names begin with a number, in the order in
	// which to load them.
	ModulesDir = "/modules"
)

// Modules that a microVM needs beyond what its kernel has built in.
var Modules = []string{
	"virtio_mmio", "virtio_console", "virtio_balloon", "virtio_blk", "virtio_net", "erofs", "overlay",
}

// Content says what goes into the archive, as paths of the host.
type Content struct {
	// Agent becomes /init; Tool (cis-pause) is beside it. Both are static.
	Agent, Tool string
	// ModulesFrom is the directory of the kernel's modules, such as
	// lib/modules/6.1.0-48-cloud-amd64.
	ModulesFrom string
}

// Write writes the archive. Written twice from the same files it has the same bytes.
func Write(to io.Writer, c Content) error {
	w := bufio.NewWriterSize(to, 1<<20)
	a := &archive{cpioWriter: cpioWriter{w: w}, names: map[string]bool{"/": true}}
	err := a.fill(c)
	if err == nil {
		err = a.close()
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		return fmt.Errorf("write initramfs: %w", err)
	}
	return nil
}

// archive is a cpio archive with the directories of its files.
type archive struct {
	cpioWriter
	names map[string]bool // already in it
}

func (a *archive) fill(c Content) error {
	for _, dir := range []string{"/dev", "/proc", "/run", "/sys", "/tmp"} {
		a.dir(dir)
	}
	for _, p := range []struct{ to, from string }{{"/init", c.Agent}, {ToolPath, c.Tool}} {
		if err := a.file(p.to, p.from, execMode); err != nil {
			return err
		}
	}
	return a.modules(c.ModulesFrom)
}

func (a *archive) modules(from string) error {
	modules, err := readModules(from, Modules)
	if err != nil {
		return err
	}
	a.dir(ModulesDir)
	for _, m := range modules {
		a.add(path.Join(ModulesDir, m.name)[1:], fileMode, m.data)
	}
	return a.err
}

// file adds a file of the host once, with the directories above it.
func (a *archive) file(name, from string, mode uint32) error {
	if a.names[name] {
		return nil
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	a.dir(path.Dir(name))
	a.names[name] = true
	a.add(strings.TrimPrefix(name, "/"), mode, data)
	return a.err
}

func (a *archive) dir(name string) {
	if a.names[name] {
		return
	}
	a.dir(path.Dir(name))
	a.names[name] = true
	a.add(strings.TrimPrefix(name, "/"), dirMode, nil)
}
