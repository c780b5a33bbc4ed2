package image

import (
	"os"
	"path/filepath"
	"slices"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Image describes one image of the store. It is a copy: changing it changes
// nothing.
type Image struct {
	// Digest is that of the platform's manifest, "sha256:…". Archives that
	// have no manifest get one made of their config and layers.
	Digest string
	// Refs are the owner's names of it, complete (docker.io/library/busybox:latest), sorted.
	// Where there is no owner, those of others have the owner and a space before them.
	Refs []string
	// Config is what the image says about running it.
	Config ocispec.ImageConfig
	// Architecture is GOARCH's word.
	Architecture string
	// Rootfs is the path of the EROFS file.
	Rootfs string
	// FullOffset is where in Rootfs, in bytes, the file system with extended
	// attributes begins, for readers that can handle them (a kernel; QEMU's
	// raw driver and losetup take an offset). 0: there is only one file
	// system. gVisor reads the one at offset 0, which has none.
	FullOffset int64
	// CompressedSize is the sum of the layers as downloaded, DiskSize what the
	// image takes on disk; both in bytes.
	CompressedSize, DiskSize int64
	// Created is when the image was built, by its own account; LastUsed when
	// a lease of it was last taken or released.
	Created, LastUsed time.Time
}

// User finds who a program runs as: see ResolveUser. An empty spec means the
// image's own User.
func (im Image) User(spec string) (User, error) {
	if spec == "" {
		spec = im.Config.User
	}
	dir := filepath.Dir(im.Rootfs)
	passwd, err := os.ReadFile(filepath.Join(dir, passwdFile))
	if err != nil {
		return User{}, err
	}
	group, err := os.ReadFile(filepath.Join(dir, groupFile))
	if err != nil {
		return User{}, err
	}
	return ResolveUser(spec, passwd, group)
}

// entry is an image in the store's index, guarded by Store.mu.
type entry struct {
	image     Image    // without Refs and LastUsed
	names     []string // of all owners: see nameOf
	leases    int
	lastUsed  time.Time
	persisted time.Time // the last use that image.json's mtime has
}

func (e *entry) copy() Image {
	im := e.image
	im.Refs = slices.Clone(e.names)
	im.LastUsed = e.lastUsed
	return im
}
