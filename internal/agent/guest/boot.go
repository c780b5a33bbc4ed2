package guest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"

	"cis/internal/agent/serial"
)

// Where things are in a VM.
const (
	modulesDir = "/modules"
	// Tool is a program of the initramfs.
	Tool = "/bin/cis-pause"
	// StateDir is the agent's, on a disk once there is one.
	StateDir = "/scratch"
)

// Guest is a VM whose kernel is ready for requests.
type Guest struct {
	// Listener takes the host's connections to the agent.
	Listener net.Listener
	// Rehearse and MakeAhead do what Request.Warm asks for; set them before Serve.
	Rehearse, MakeAhead func(context.Context) error

	requests net.Listener
	devices  devices
	disks    disks
}

// Boot makes everything ready that is the same in every VM. It is called once, by the
// first process.
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
	if err := os.MkdirAll(StateDir, 0o700); err != nil {
		return nil, err
	}
	if err := loadModules(modulesDir); err != nil {
		return nil, err
	}
	if err := setUpKernel(); err != nil {
		return nil, err
	}
	devices, err := findDevices()
	if err != nil {
		return nil, err
	}
	if _, err := devices.bind(PortsSlot, "virtio_console"); err != nil {
		return nil, err
	}
	// What the kernel has free for a while, the host gets back.
	if _, err := devices.bind(BalloonSlot, "virtio_balloon"); err != nil {
		return nil, err
	}
	agent, err := openPort(ctx, AgentPort)
	if err != nil {
		return nil, err
	}
	requests, err := openPort(ctx, RequestPort)
	if err != nil {
		return nil, err
	}
	return &Guest{Listener: serial.Listen(agent), requests: serial.Listen(requests), devices: devices, disks: newDisks(devices)}, nil
}

// Serve does what the host asks for, until ctx ends or the port fails.
func (g *Guest) Serve(ctx context.Context, log *slog.Logger) error {
	stop := context.AfterFunc(ctx, func() { g.requests.Close() })
	defer stop()
	for {
		conn, err := g.requests.Accept()
		if err != nil {
			return fmt.Errorf("take requests of the host: %w", err)
		}
		if err := g.serve(ctx, conn); err != nil {
			log.Error("a request of the host failed", "error", err)
		}
		conn.Close()
	}
}

// serve does the requests of one connection.
func (g *Guest) serve(ctx context.Context, conn net.Conn) error {
	in, out := json.NewDecoder(conn), json.NewEncoder(conn)
	for {
		var r Request
		err := in.Decode(&r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var a Answer
		if err = g.do(ctx, r); err == nil && r.Log {
			a.Log, err = kernelLog()
		}
		if err != nil {
			a.Error = err.Error()
		}
		if err := errors.Join(err, out.Encode(a)); err != nil {
			return err
		}
	}
}

func (g *Guest) do(ctx context.Context, r Request) error {
	if err := setClock(r.Time); err != nil {
		return err
	}
	if r.Identity != nil {
		if err := become(ctx, g.devices, *r.Identity); err != nil {
			return err
		}
	}
	if err := g.disks.add(ctx, r.Disks); err != nil {
		return err
	}
	if r.Modules != "" {
		if err := g.loadImage(r.Modules); err != nil {
			return fmt.Errorf("load kernel modules: %w", err)
		}
	}
	if r.Warm {
		if err := g.Rehearse(ctx); err != nil {
			return err
		}
	}
	if err := g.disks.free(r.Free); err != nil {
		return err
	}
	if r.Layer != "" {
		if err := g.disks.rename(LayerDisk, Rehearsal, r.Layer); err != nil {
			return err
		}
	}
	if r.Warm {
		// What is made ahead would keep mounted what is freed.
		return g.MakeAhead(ctx)
	}
	return nil
}

// Image is the device with an image that the host has at path.
func (g *Guest) Image(path string) (string, error) { return g.disks.find(ImageDisk, path) }

// Layer is the directory for the writable layers of a container.
func (g *Guest) Layer(container string) (string, error) { return g.disks.find(LayerDisk, container) }

// Volume is the directory of a volume that is on a disk.
func (g *Guest) Volume(name string) (string, error) {
	if place, err := g.disks.find(KeptDisk, name); err == nil {
		return place, nil
	}
	return g.disks.find(VolumeDisk, name)
}
