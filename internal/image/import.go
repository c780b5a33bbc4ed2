package image

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"cis/api"
)

// ImportOptions say how to take in an archive.
type ImportOptions struct {
	// Owner of the names; empty: the operator.
	Owner string
	// Ref names the image. It may be left out if the archive has names of its
	// own, and must be if it holds several images.
	Ref string
}

// Import takes in the images of a tar archive, plain or compressed with gzip or
// zstd: an OCI layout, what `docker save` writes, or else the files of a root
// file system. Digests are verified as for a pull. It returns the images, in
// the archive's order; after an error, those before it are there.
//
// Errors are *api.Error: Invalid for what is wrong with the archive, Exhausted
// for no space.
func (s *Store) Import(ctx context.Context, r io.Reader, opts ImportOptions) ([]Image, error) {
	if opts.Ref != "" {
		var err error
		if opts.Ref, err = Normalize(opts.Ref); err != nil {
			return nil, err
		}
	}
	images, err := s.importArchive(ctx, r, opts)
	if err != nil {
		return images, importError(err)
	}
	if _, err := s.Collect(ctx); err != nil {
		s.opts.Log.Warn("collect images", "err", err)
	}
	return images, nil
}

func (s *Store) importArchive(ctx context.Context, r io.Reader, opts ImportOptions) ([]Image, error) {
	a, err := spool(ctx, r, filepath.Join(s.dir, tmpDir), s.opts.Limits)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	found, err := s.inArchive(a)
	if err != nil {
		return nil, err
	}
	if err := nameImports(found, opts.Ref); err != nil {
		return nil, err
	}
	var images []Image
	for _, im := range found {
		lease, err := s.importOne(ctx, opts.Owner, im)
		if err != nil {
			return images, err
		}
		defer lease.Release()
		done, err := s.Get(opts.Owner, im.digest)
		if err != nil {
			return images, err
		}
		images = append(images, done)
	}
	return images, nil
}

// imported is an image found in an archive.
type imported struct {
	build
	refs []string
}

// importOne makes the image unless it is here, and gives it its names.
func (s *Store) importOne(ctx context.Context, owner string, im imported) (*Lease, error) {
	unlock, err := s.building.Lock(ctx, im.digest)
	if err != nil {
		return nil, err
	}
	defer unlock()
	lease, err := s.Lease(im.digest)
	if err != nil {
		if lease, err = s.build(ctx, im.build, newTracker()); err != nil {
			return nil, err
		}
	}
	for _, ref := range im.refs {
		if err := s.tag(nameOf(owner, ref), im.digest); err != nil {
			lease.Release()
			return nil, err
		}
	}
	return lease, nil
}

// nameImports completes the names, or puts ref in their place.
func nameImports(found []imported, ref string) error {
	if ref != "" && len(found) > 1 {
		return api.FieldError("ref", "the archive holds %d images, so they cannot all be named %s", len(found), ref).
			WithNext("leave the name out, or save one image alone")
	}
	for i := range found {
		im := &found[i]
		if ref != "" {
			im.refs = []string{ref}
		}
		for j, r := range im.refs {
			var err error
			if im.refs[j], err = Normalize(r); err != nil {
				return err
			}
		}
		if len(im.refs) == 0 {
			return api.FieldError("ref", "the archive does not name its image").WithNext("give a name")
		}
	}
	return nil
}

// inArchive finds the images of an archive, telling its kind by its files.
func (s *Store) inArchive(a *archive) ([]imported, error) {
	if a.has(ocispec.ImageLayoutFile) && a.has(ocispec.ImageIndexFile) {
		return s.ociLayout(a)
	}
	if a.has(dockerManifest) {
		b, err := a.read(dockerManifest, maxConfig)
		if err != nil {
			return nil, err
		}
		var list []dockerImage
		if json.Unmarshal(b, &list) == nil && len(list) > 0 && list[0].Config != "" {
			return s.dockerArchive(a, list)
		}
	}
	return s.rootfsArchive(a)
}

// The names that tools give to the images of an OCI layout.
var nameAnnotations = []string{"io.containerd.image.name", ocispec.AnnotationRefName}

// ociLayout finds the images of an OCI layout, one for each entry of its index
// that is for this platform.
func (s *Store) ociLayout(a *archive) ([]imported, error) {
	b, err := a.read(ocispec.ImageIndexFile, maxConfig)
	if err != nil {
		return nil, err
	}
	var index v1.IndexManifest
	if err := json.Unmarshal(b, &index); err != nil {
		return nil, api.Errorf(api.Invalid, "index.json cannot be read: %w", err)
	}
	entries := slices.DeleteFunc(slices.Clone(index.Manifests), func(d v1.Descriptor) bool {
		return d.Platform != nil && !fitsPlatform(d, s.opts.Architecture)
	})
	if len(entries) == 0 {
		_, err := pickPlatform(b, s.opts.Architecture)
		return nil, err
	}
	var found []imported
	for _, d := range entries {
		im, err := s.ociImage(a, d)
		if err != nil {
			return nil, err
		}
		for _, key := range nameAnnotations {
			// A bare word is a tag of a name that only its writer knows.
			if ref := d.Annotations[key]; strings.ContainsAny(ref, "/:") {
				im.refs = append(im.refs, ref)
				break
			}
		}
		found = mergeNames(found, im)
	}
	return found, nil
}

// mergeNames adds im, or only its names if its image is in the list already.
func mergeNames(list []imported, im imported) []imported {
	for i := range list {
		if list[i].digest == im.digest {
			list[i].refs = append(list[i].refs, im.refs...)
			return list
		}
	}
	return append(list, im)
}

// ociImage follows a descriptor to the image it stands for.
func (s *Store) ociImage(a *archive, d v1.Descriptor) (imported, error) {
	for range maxNested {
		b, err := a.blob(d, maxConfig)
		if err != nil {
			return imported{}, err
		}
		if mediaType(d.MediaType, b).IsIndex() {
			if d, err = pickPlatform(b, s.opts.Architecture); err != nil {
				return imported{}, err
			}
			continue
		}
		m, err := parseManifest(d.MediaType, b)
		if err != nil {
			return imported{}, err
		}
		return s.ociBuild(a, d.Digest.String(), m)
	}
	return imported{}, api.Errorf(api.Invalid, "the archive's indexes are nested too deeply")
}

func (s *Store) ociBuild(a *archive, digest string, m *v1.Manifest) (imported, error) {
	raw, err := a.blob(m.Config, maxConfig)
	if err != nil {
		return imported{}, err
	}
	config, err := parseConfig(raw, len(m.Layers), s.opts.Architecture)
	if err != nil {
		return imported{}, err
	}
	im := imported{build: build{digest: digest, config: config}}
	for _, l := range m.Layers {
		name := blobName(l.Digest)
		if !a.has(name) {
			return imported{}, api.Errorf(api.Invalid, "the archive lacks the layer %s", l.Digest)
		}
		im.compressed += l.Size
		im.layers = append(im.layers, a.verified(name, l))
	}
	return im, nil
}

func blobName(h v1.Hash) string { return fmt.Sprintf("blobs/%s/%s", h.Algorithm, h.Hex) }

// dockerManifest is the table of contents of what `docker save` writes.
const dockerManifest = "manifest.json"

type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func (s *Store) dockerArchive(a *archive, list []dockerImage) ([]imported, error) {
	var found []imported
	for _, d := range list {
		raw, err := a.read(d.Config, maxConfig)
		if err != nil {
			return nil, err
		}
		config, err := parseConfig(raw, len(d.Layers), s.opts.Architecture)
		if err != nil {
			return nil, err
		}
		im := imported{refs: d.RepoTags, build: build{config: config}}
		for _, name := range d.Layers {
			size, ok := a.size(name)
			if !ok {
				return nil, api.Errorf(api.Invalid, "the archive lacks the layer %.200q", name)
			}
			im.compressed += size
			im.layers = append(im.layers, a.opener(name))
		}
		if im.digest, err = ownManifest(raw, config); err != nil {
			return nil, err
		}
		found = mergeNames(found, im)
	}
	return found, nil
}

// rootfsArchive takes the archive itself for the one layer of an image.
func (s *Store) rootfsArchive(a *archive) ([]imported, error) {
	if len(a.files) == 0 {
		return nil, api.Errorf(api.Invalid, "it is not a tar archive, or an empty one").
			WithNext("give an OCI layout, a docker-save archive or a root file system as tar")
	}
	config := &ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: s.opts.Architecture},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: a.diffIDs()},
	}
	raw, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	im := imported{build: build{config: config, compressed: a.length, layers: []openLayer{a.whole}}}
	im.digest, err = ownManifest(raw, config)
	return []imported{im}, err
}

// ownManifest returns the digest of the manifest that an image without one
// would have: its config, and its layers uncompressed.
func ownManifest(raw []byte, config *ocispec.Image) (string, error) {
	desc := func(t types.MediaType, digest string) map[string]string {
		return map[string]string{"mediaType": string(t), "digest": digest}
	}
	var layers []any
	for _, id := range config.RootFS.DiffIDs {
		layers = append(layers, desc(types.OCIUncompressedLayer, string(id)))
	}
	b, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": types.OCIManifestSchema1,
		"config": desc(types.OCIConfigJSON, digestOf(raw)), "layers": layers,
	})
	return digestOf(b), err
}
