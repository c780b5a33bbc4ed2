package stage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"cis/internal/busybox"
)

// The one user of a private registry, and the password with its bcrypt sum.
const (
	privateUser     = "user"
	privatePassword = "secret"
	privateSum      = "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a"
)

// PrivateRegistry starts a registry that wants a user "user" with the password
// "secret", for as long as the context, and returns its host:port.
func (s *Stage) PrivateRegistry(ctx context.Context) (string, error) {
	dir := filepath.Join(s.Dir, "private")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	users := filepath.Join(dir, "users")
	if err := os.WriteFile(users, []byte(privateUser+":"+privateSum+"\n"), 0o600); err != nil {
		return "", err
	}
	p, address, err := startRegistry(ctx, s.Bin, filepath.Join(dir, "data"), fmt.Sprintf("auth: {htpasswd: {realm: private, path: %s}}\n", users))
	if p != nil {
		context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() })
	}
	return address, err
}

// PushPrivate pushes with the credentials of a private registry.
func (s *Stage) PushPrivate(ctx context.Context, ref string, img v1.Image) error {
	return busybox.Push(ctx, ref, img, remote.WithAuth(&authn.Basic{Username: privateUser, Password: privatePassword}))
}
