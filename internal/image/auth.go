package image

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// Auth is a credential for a registry: a user name and password, or a token.
type Auth struct {
	// Registry is the host[:port] it is for, docker.io for Docker Hub. Empty
	// means the registry of the image.
	Registry           string
	Username, Password string
	// IdentityToken is exchanged for access at the registry's token server.
	IdentityToken string
	// Token is sent to the registry as it is (bearer).
	Token string
}

// candidates are the credentials to try for an image, in order: those of the
// request for its registry, else docker's for the operator, else none.
func (s *Store) candidates(ref name.Reference, owner string, auths []Auth) ([]Auth, error) {
	var found []Auth
	for _, a := range auths {
		if a.Registry == "" || sameRegistry(a.Registry, ref) {
			a.Registry = ""
			found = append(found, a)
		}
	}
	if len(found) == 0 && owner == "" && s.opts.DockerConfig != "" {
		a, err := dockerAuth(s.opts.DockerConfig, ref)
		if err != nil {
			return nil, err
		}
		found = append(found, a)
	}
	if len(found) == 0 {
		found = append(found, Auth{})
	}
	return found, nil
}

// sameRegistry compares a registry as people and docker's files write it.
func sameRegistry(host string, ref name.Reference) bool {
	if host == authn.DefaultAuthKey { // docker's name for its hub
		host = dockerHub
	}
	r, err := name.NewRegistry(host)
	return err == nil && r.RegistryStr() == ref.Context().RegistryStr()
}

// dockerAuth reads docker's config.json. A file without the registry, or no
// file, gives the empty Auth.
func dockerAuth(file string, ref name.Reference) (Auth, error) {
	f, err := os.Open(file)
	if os.IsNotExist(err) {
		return Auth{}, nil
	}
	if err != nil {
		return Auth{}, fmt.Errorf("read docker's credentials: %w", err)
	}
	defer f.Close()
	cfg, err := config.LoadFromReader(f)
	if err != nil {
		return Auth{}, fmt.Errorf("read docker's credentials in %s: %w", file, err)
	}
	key := ref.Context().RegistryStr()
	if key == name.DefaultRegistry {
		key = authn.DefaultAuthKey
	}
	c, err := cfg.GetAuthConfig(key)
	if err != nil {
		return Auth{}, fmt.Errorf("read docker's credentials for %s: %w", key, err)
	}
	return fromDocker(c), nil
}

func fromDocker(c types.AuthConfig) Auth {
	return Auth{Username: c.Username, Password: c.Password, IdentityToken: c.IdentityToken, Token: c.RegistryToken}
}

// authenticator is what the registry library takes.
func (a Auth) authenticator() authn.Authenticator {
	if a == (Auth{}) {
		return authn.Anonymous
	}
	return authn.FromConfig(authn.AuthConfig{
		Username: a.Username, Password: a.Password, IdentityToken: a.IdentityToken, RegistryToken: a.Token,
	})
}

// flightKey tells pulls apart that must not be shared: a pull proves access
// only for its own credentials.
func flightKey(ref string, auths []Auth) string {
	b, _ := json.Marshal(auths) // strings always encode
	return ref + " " + string(b)
}
