package image

import (
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"cis/api"
)

// Normalize returns the complete form of an image reference, as docker shows
// it: busybox becomes docker.io/library/busybox:latest, and
// localhost:5000/busybox gets its :latest. A reference with a digest loses its
// tag. The error is Invalid, with the field image.
func Normalize(ref string) (string, error) {
	r, err := parseRef(ref)
	if err != nil {
		return "", err
	}
	return canonical(r), nil
}

// The library takes more than the distribution specification's grammar does,
// ".." for a name among it. These are that grammar's repository and domain.
var (
	validRepository = regexp.MustCompile(`^[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*$`)
	validRegistry   = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9a-fA-F:.]+\])(:[0-9]+)?$`)
)

func parseRef(ref string, opts ...name.Option) (name.Reference, error) {
	r, err := name.ParseReference(ref, opts...)
	if err != nil || !validName(r.Context()) {
		return nil, api.FieldError("image", "%.300q is not an image reference", ref).
			WithNext("write it as [REGISTRY/]NAME[:TAG|@sha256:DIGEST], in small letters")
	}
	return r, nil
}

func validName(r name.Repository) bool {
	repo := r.RepositoryStr()
	return len(repo) <= 255 && validRepository.MatchString(repo) && validRegistry.MatchString(r.RegistryStr())
}

// canonical undoes the registry library's name for Docker Hub.
func canonical(r name.Reference) string {
	s := r.Name()
	if rest, ok := strings.CutPrefix(s, name.DefaultRegistry+"/"); ok {
		return dockerHub + "/" + rest
	}
	return s
}

// dockerHub is the name by which people know name.DefaultRegistry.
const dockerHub = "docker.io"

// registryName is the registry of r as people know it.
func registryName(r name.Reference) string {
	if s := r.Context().RegistryStr(); s != name.DefaultRegistry {
		return s
	}
	return dockerHub
}
