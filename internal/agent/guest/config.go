package guest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Names by which a guest finds its devices: serial numbers of disks, of at most 20
// bytes, and the name of the agent's port.
const (
	ConfigDisk  = "cis-config"
	ScratchDisk = "cis-scratch"
	AgentPort   = "cis.agent"
)

// ImageDisk, LayerDisk and VolumeDisk are the serial numbers of the nth image, of the
// nth container's writable layer, and of the nth volume.
func ImageDisk(n int) string  { return fmt.Sprintf("cis-image-%d", n) }
func LayerDisk(n int) string  { return fmt.Sprintf("cis-layer-%d", n) }
func VolumeDisk(n int) string { return fmt.Sprintf("cis-volume-%d", n) }

// Config is what makes one VM differ from others of its size. The machine writes it
// as JSON on a disk, padded with zeros.
type Config struct {
	Hostname string `json:"hostname"`
	// Address of the network interface, without prefix length, and its MAC.
	Address string `json:"address"`
	MAC     string `json:"mac"`
	// Gateway is the next hop of every packet. MTU of the interface; zero: its own.
	Gateway string `json:"gateway"`
	MTU     int    `json:"mtu,omitempty"`
	// Time when the VM was started, by the host's clock.
	Time time.Time `json:"time"`
	// Seed for the kernel's random numbers: of this VM alone.
	Seed []byte `json:"seed"`
	// Images lists the host's paths of the image disks, in their order.
	Images []string `json:"images"`
	// Layers counts the disks for writable layers; Volumes names the volumes on disk,
	// in their disks' order.
	Layers  int      `json:"layers"`
	Volumes []string `json:"volumes,omitempty"`
}

// sectorSize is the unit of a disk's size, in bytes.
const sectorSize = 512

// Disk is the content of the configuration's disk.
func (c Config) Disk() ([]byte, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("write guest config: %w", err)
	}
	return append(data, make([]byte, sectorSize-len(data)%sectorSize)...), nil
}

// readConfig reads a disk that Config.Disk made.
func readConfig(disk io.Reader) (Config, error) {
	var c Config
	data, err := io.ReadAll(io.LimitReader(disk, 1<<20))
	if err == nil {
		err = json.Unmarshal(bytes.TrimRight(data, "\x00"), &c)
	}
	if err != nil {
		return Config{}, fmt.Errorf("read guest config: %w", err)
	}
	return c, nil
}
