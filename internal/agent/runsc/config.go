package runsc

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/fsgroup"
)

// Config says how to boot one sandbox. Package machine/gvisor writes it as a JSON
// file, and cis-agent reads it.
type Config struct {
	// ID of the sandbox.
	ID string `json:"id"`
	// Dir is the sandbox's own directory: writable layers live there as unlinked
	// files. It may be at most 75 bytes long, for the sake of socket paths.
	Dir string `json:"dir"`
	// Runsc is the path of the pinned runsc, Pause that of cis-pause, PauseImage
	// that of the EROFS image with cis-pause as /pause.
	Runsc      string `json:"runsc"`
	Pause      string `json:"pause"`
	PauseImage string `json:"pauseImage"`
	// Cgroup is the path of the sandbox's cgroup below each cgroup mount; it
	// exists, with its limits set.
	Cgroup string `json:"cgroup"`
	// OOMEvents is the cgroup's file with a line "oom_kill N": memory.events of
	// version 2, memory.oom_control of version 1.
	OOMEvents string `json:"oomEvents"`
	// PidsEvents is the cgroup's file pids.events, with a line "max N": how often
	// the limit of host processes stopped a new one.
	PidsEvents string `json:"pidsEvents"`
	// NetNS is the path of the network namespace whose addresses the sandbox takes.
	NetNS string `json:"netNS"`
	// Hostname until a workload brings its own.
	Hostname string `json:"hostname"`
	// Volumes that containers will share: those without Image and Files. Disks among them are
	// mounted in the mount namespace of the calling process, which has to be its own.
	Volumes []agentpb.Volume `json:"volumes,omitempty"`
}

// LoadConfig reads the file that machine/gvisor wrote.
func LoadConfig(path string) (Config, error) {
	var c Config
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil {
		return Config{}, fmt.Errorf("load sandbox config %s: %w", path, err)
	}
	return c, nil
}

// SocketPath is where the agent of the sandbox listens.
func (c Config) SocketPath() string { return filepath.Join(c.Dir, "agent.sock") }

func (c Config) stateDir() string { return filepath.Join(c.Dir, "runsc") }

func (c Config) controlSocket() string {
	return filepath.Join(c.stateDir(), "runsc-"+c.ID+".sock")
}

// volume is a directory that the sandbox's containers share.
type volume struct {
	// source marks it in gVisor's mount hints and in containers' mounts.
	source string
	memory bool
	size   api.Bytes
	group  *uint32
	// store holds its pages; nil in memory.
	store *os.File
	// dir is where a disk is mounted on the host; empty for a volume that starts empty.
	dir string
}

// openVolumes makes the stores of the volumes.
func openVolumes(c Config) (map[string]*volume, error) {
	volumes := map[string]*volume{}
	for i, v := range c.Volumes {
		made := &volume{source: fmt.Sprintf("cis-volume-%d", i), memory: v.Memory, size: v.SizeLimit, group: v.Group}
		if v.Disk != "" {
			made.dir = filepath.Join(c.Dir, "disks", strconv.Itoa(i))
			err := mountDisk(v.Disk, made.dir)
			if err == nil && v.Group != nil {
				err = fsgroup.Apply(made.dir, *v.Group, v.Regroup)
			}
			if err != nil {
				return nil, fmt.Errorf("use the disk of volume %s: %w", v.Name, err)
			}
		} else if !v.Memory {
			store, err := openStore(c.Dir)
			if err != nil {
				return nil, err
			}
			made.store = store
		}
		volumes[v.Name] = made
	}
	return volumes, nil
}

// openStore makes an unlinked file for the pages of a writable layer: sparse,
// and gone with its last user.
func openStore(dir string) (*os.File, error) {
	file, err := os.CreateTemp(dir, "store")
	if err != nil {
		return nil, fmt.Errorf("make the store of a writable layer: %w", err)
	}
	if err := os.Remove(file.Name()); err != nil {
		file.Close()
		return nil, fmt.Errorf("make the store of a writable layer: %w", err)
	}
	return file, nil
}
