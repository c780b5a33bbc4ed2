package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"cis/api"
)

const (
	maxConfig = 8 << 20 // bytes of an image's config
	maxLayers = 1000    // of one image; docker itself stops at 127
	maxNested = 3       // indexes in indexes
)

// source is an image at a registry: its manifest, and the way to its blobs.
type source struct {
	repo     *repository
	digest   string
	manifest *v1.Manifest
}

// resolve asks the registry what ref stands for on this machine's platform, for
// as long as a connection may be silent: manifests are small.
func (s *Store) resolve(ctx context.Context, ref name.Reference, auths []Auth) (*source, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.blobs.stall, errStalled)
	defer cancel()
	src, err := s.resolveWithin(ctx, ref, auths)
	if err != nil {
		return nil, cause(ctx, err)
	}
	return src, nil
}

func (s *Store) resolveWithin(ctx context.Context, ref name.Reference, auths []Auth) (*source, error) {
	var repo *repository
	var desc *remote.Descriptor
	var err error
	for _, a := range auths {
		if repo, desc, err = s.registry.open(ctx, ref, a); !denied(err) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	for range maxNested {
		if !mediaType(desc.MediaType, desc.Manifest).IsIndex() {
			m, err := parseManifest(desc.MediaType, desc.Manifest)
			if err != nil {
				return nil, err
			}
			return &source{repo, desc.Digest.String(), m}, nil
		}
		child, err := pickPlatform(desc.Manifest, s.opts.Architecture)
		if err != nil {
			return nil, err
		}
		if desc, err = repo.manifest(ctx, ref.Context().Digest(child.Digest.String())); err != nil {
			return nil, err
		}
	}
	return nil, api.Errorf(api.Invalid, "its indexes are nested too deeply")
}

// mediaType prefers what a manifest says of itself to what its server says.
func mediaType(said types.MediaType, manifest []byte) types.MediaType {
	var own struct {
		MediaType types.MediaType `json:"mediaType"`
		Manifests json.RawMessage `json:"manifests"`
		Config    json.RawMessage `json:"config"`
	}
	if json.Unmarshal(manifest, &own) != nil {
		return said
	}
	switch {
	case own.MediaType != "":
		return own.MediaType
	case said.IsIndex() || said.IsImage() || said.IsSchema1():
		return said
	case own.Config != nil:
		return types.OCIManifestSchema1
	case own.Manifests != nil:
		return types.OCIImageIndex
	}
	return said
}

// pickPlatform chooses the manifest of an index for linux on this architecture.
// One without a variant goes before those for newer processors.
func pickPlatform(index []byte, arch string) (v1.Descriptor, error) {
	m, err := v1.ParseIndexManifest(bytes.NewReader(index))
	if err != nil {
		return v1.Descriptor{}, api.Errorf(api.Invalid, "its index cannot be read: %w", err)
	}
	var fits []v1.Descriptor
	var has []string
	for _, d := range m.Manifests {
		if fitsPlatform(d, arch) {
			fits = append(fits, d)
		} else if d.Platform.OS != "unknown" { // attestations say unknown
			has = append(has, d.Platform.String())
		}
	}
	if len(fits) == 0 {
		return v1.Descriptor{}, api.Errorf(api.NotFound, "it is not made for linux/%s, only for: %s", arch, strings.Join(has, ", ")).
			WithNext("choose an image for linux/%s", arch)
	}
	for _, d := range fits {
		if d.Platform != nil && d.Platform.Variant == "" {
			return d, nil
		}
	}
	return fits[0], nil
}

// fitsPlatform says whether an index's entry is for linux on this architecture,
// or does not say what it is for.
func fitsPlatform(d v1.Descriptor, arch string) bool {
	return d.Platform == nil || d.Platform.OS == "linux" && d.Platform.Architecture == arch
}

// parseManifest reads an image manifest and refuses what is none.
func parseManifest(said types.MediaType, b []byte) (*v1.Manifest, error) {
	if mt := mediaType(said, b); !mt.IsImage() {
		return nil, api.Errorf(api.Invalid, "its manifest has the media type %.100q, which is no container image's", mt).
			WithNext("push it again with a current tool: Docker schema 2 and OCI images are supported")
	}
	m, err := v1.ParseManifest(bytes.NewReader(b))
	if err != nil {
		return nil, api.Errorf(api.Invalid, "its manifest cannot be read: %w", err)
	}
	if len(m.Layers) > maxLayers {
		return nil, api.Errorf(api.Invalid, "it has %d layers, more than %d", len(m.Layers), maxLayers)
	}
	if t := m.Config.MediaType; t != types.OCIConfigJSON && t != types.DockerConfigJSON {
		return nil, api.Errorf(api.Invalid, "its config has the media type %.100q: it is not a container image", t)
	}
	for _, l := range append(slices.Clone(m.Layers), m.Config) {
		if l.Digest.Algorithm != "sha256" || l.Size < 0 {
			return nil, api.Errorf(api.Invalid, "its manifest has a bad digest or size: %s, %d bytes", l.Digest, l.Size)
		}
	}
	for _, l := range m.Layers {
		if !l.MediaType.IsDistributable() {
			return nil, api.Errorf(api.Invalid, "layer %s is a foreign layer, which its registry does not have", l.Digest)
		}
	}
	return m, nil
}

// readConfig reads the image's config from r and checks it against the manifest and
// the machine.
func readConfig(r io.Reader, m *v1.Manifest, arch string) (*ocispec.Image, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxConfig+1))
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	if len(b) > maxConfig {
		return nil, api.Errorf(api.Invalid, "its config exceeds %d MiB", maxConfig>>20)
	}
	if got := digestOf(b); got != m.Config.Digest.String() {
		return nil, api.Errorf(api.Invalid, "its config is damaged: the digest is %s, not %s", got, m.Config.Digest)
	}
	return parseConfig(b, len(m.Layers), arch)
}

func parseConfig(b []byte, layers int, arch string) (*ocispec.Image, error) {
	var c ocispec.Image
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, api.Errorf(api.Invalid, "its config cannot be read: %w", err)
	}
	if c.OS != "" && c.OS != "linux" || c.Architecture != "" && c.Architecture != arch {
		return nil, api.Errorf(api.Invalid, "it is made for %.20s/%.20s, not for linux/%s", c.OS, c.Architecture, arch).
			WithNext("choose an image for linux/%s", arch)
	}
	if len(c.RootFS.DiffIDs) != layers {
		return nil, api.Errorf(api.Invalid, "its config names %d layers, its manifest %d", len(c.RootFS.DiffIDs), layers)
	}
	return &c, nil
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}
