package runsc

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/fileset"
)

// Volumes with files are tmpfs that the root container has in FilesDir, by number, and
// containers share read-only. gVisor learns of what will be shared when a sandbox boots, so
// each sandbox has as many as an instance may want; one that is not used costs nothing.

// FilesDir is a directory of the root container's image.
const FilesDir = "/files"

// fileSource is only a name; runsc would put the bundle's path before a relative one.
func fileSource(i int) string { return "/cis-files-" + strconv.Itoa(i) }

func filePlace(i int) string { return FilesDir + "/" + strconv.Itoa(i) }

// fileMounts are those of the root container, with the annotations that let others share
// them.
func fileMounts(annotations map[string]string) []specs.Mount {
	mounts := []specs.Mount{{Destination: FilesDir, Type: "tmpfs"}}
	for i := range api.MaxSecretVolumes {
		share(annotations, fileSource(i), "rw,nosuid,mode=0755,size="+strconv.Itoa(fileset.VolumeSize))
		mounts = append(mounts, specs.Mount{Destination: filePlace(i), Type: "tmpfs", Source: fileSource(i), Options: []string{"nosuid"}})
	}
	return append(mounts, reportsMount(annotations))
}

// SetFiles implements runtime.Runtime.
func (s *Sandbox) SetFiles(ctx context.Context, volume string, files []fileset.File) error {
	i, err := s.fileVolume(volume)
	if err != nil {
		return err
	}
	return s.errands.Publish(ctx, filePlace(i), files)
}

// fileVolume is the number of a volume, which it keeps.
func (s *Sandbox) fileVolume(name string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.files[name]
	if !ok {
		if i = len(s.files); i == api.MaxSecretVolumes {
			return 0, errors.New("the sandbox has no more volumes for files")
		}
		s.files[name] = i
	}
	return i, nil
}

// fileMount is a container's mount of a volume with files.
func (c *container) fileMount(v agentpb.Volume, destination string) (specs.Mount, error) {
	c.sandbox.mu.Lock()
	defer c.sandbox.mu.Unlock()
	i, ok := c.sandbox.files[v.Name]
	if !ok {
		return specs.Mount{}, fmt.Errorf("volume %s was never given its files", v.Name)
	}
	return specs.Mount{Destination: destination, Type: "tmpfs", Source: fileSource(i), Options: []string{"ro", "nosuid"}}, nil
}
