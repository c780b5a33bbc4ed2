package guest

import (
	"context"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"cis/internal/agent/serial"
)

// Where things are in a VM.
const (
	modulesDir = "/modules"
	// Crun and Tool are programs of the initramfs.
	Crun = "/bin/crun"
	Tool = "/bin/cis-pause"
	// ScratchDir is the writable disk.
	ScratchDir = "/scratch"
	// StateDir is the agent's: journals are on the disk too.
	StateDir = ScratchDir + "/agent"
)

// Guest is a VM that is ready for its workload.
type Guest struct {
	Config Config
	// Listener takes the host's connections.
	Listener net.Listener
	// Layers are the directories of the writable layers.
	Layers []string
	// devices of the images, by the host's paths; volumes by name.
	devices, volumes map[string]string
}

// Boot makes everything ready. It is called once, by the VM's first process.
func Boot(ctx context.Context) (*Guest, error) {
	g, err := boot(ctx)
	if err != nil {
		return nil, fmt.Errorf("boot: %w", err)
	}
	return g, nil
}

func boot(ctx context.Context) (*Guest, error) {
	if err := mountSystem(); err != nil {
		return nil, err
	}
	if err := loadModules(modulesDir); err != nil {
		return nil, err
	}
	config, err := loadConfig(ctx)
	if err != nil {
		return nil, err
	}
	if err := become(config); err != nil {
		return nil, err
	}
	if err := configureNetwork(ctx, config); err != nil {
		return nil, err
	}
	g := &Guest{Config: config, devices: map[string]string{}, volumes: map[string]string{}}
	if err := g.openDisks(ctx); err != nil {
		return nil, err
	}
	g.Listener, err = listen(ctx)
	return g, err
}

// openDisks mounts those that are written to, and finds the images.
func (g *Guest) openDisks(ctx context.Context) error {
	if err := mountDisk(ctx, ScratchDisk, ScratchDir); err != nil {
		return err
	}
	if err := os.MkdirAll(StateDir, 0o700); err != nil {
		return err
	}
	for n := range g.Config.Layers {
		dir := fmt.Sprintf("/run/layers/%d", n)
		if err := mountDisk(ctx, LayerDisk(n), dir); err != nil {
			return err
		}
		g.Layers = append(g.Layers, dir)
	}
	for n, name := range g.Config.Volumes {
		dir := "/run/volumes/" + name
		if err := mountDisk(ctx, VolumeDisk(n), dir); err != nil {
			return err
		}
		if err := os.Chmod(dir, 0o777); err != nil { // as every emptyDir
			return err
		}
		g.volumes[name] = dir
	}
	for n, path := range g.Config.Images {
		var err error
		if g.devices[path], err = await(ctx, disk(ImageDisk(n))); err != nil {
			return err
		}
	}
	return nil
}

// Volume is the directory of a volume that is kept on disk.
func (g *Guest) Volume(name string) (string, error) {
	dir := g.volumes[name]
	if dir == "" {
		return "", fmt.Errorf("the VM was started without the volume %s", name)
	}
	return dir, nil
}

// Image is the device with an image that the host has at path.
func (g *Guest) Image(path string) (string, error) {
	device := g.devices[path]
	if device == "" {
		return "", fmt.Errorf("the VM was started without the image %s", path)
	}
	return device, nil
}

func loadConfig(ctx context.Context) (Config, error) {
	path, err := await(ctx, disk(ConfigDisk))
	if err != nil {
		return Config{}, err
	}
	file, err := os.Open(path)
	if err != nil {
		return Config{}, err
	}
	defer file.Close()
	return readConfig(file)
}

// mountDisk mounts a disk that is written to. What the file system keeps for itself
// is not for programs to see.
func mountDisk(ctx context.Context, serial, dir string) error {
	path, err := await(ctx, disk(serial))
	if err != nil {
		return err
	}
	if err := mount(path, dir, "ext4", unix.MS_NODEV|unix.MS_NOATIME, ""); err != nil {
		return err
	}
	return os.Remove(dir + "/lost+found")
}

func listen(ctx context.Context) (net.Listener, error) {
	path, err := await(ctx, port(AgentPort))
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return serial.Listen(file), nil
}
