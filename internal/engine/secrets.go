package engine

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"cis/api"
	"cis/internal/account"
	"cis/internal/image"
	"cis/internal/store"
)

// dockerConfigKey is the key of a registry secret, as Kubernetes names it.
const dockerConfigKey = ".dockerconfigjson"

// PutSecret records a secret, in place of one of the same name, whose files change in the
// instances that show them a moment later.
func (e *Engine) PutSecret(ctx context.Context, s api.Secret) (api.Secret, error) {
	if err := oneAccount(ctx); err != nil {
		return s, err
	}
	if s.Type == "" {
		s.Type = api.SecretOpaque
	}
	if s.Type == api.SecretRegistry {
		if _, err := parseDockerConfig(s.Data[dockerConfigKey]); err != nil {
			return s, api.FieldError("data["+dockerConfigKey+"]", "is not docker's config.json: %v", err)
		}
	}
	s.CreatedAt = time.Now().UTC()
	if err := e.cfg.Store.PutSecret(ctx, account.Of(ctx).Account, s); err != nil {
		return s, err
	}
	e.secretChanged(account.Of(ctx).Account, s.Name)
	return shown(s), nil
}

// Secrets lists the secrets, without their values.
func (e *Engine) Secrets(ctx context.Context) ([]api.Secret, error) {
	all, err := e.cfg.Store.Secrets(ctx, account.Of(ctx).Account)
	for i := range all {
		all[i] = shown(all[i])
	}
	return all, err
}

// RemoveSecret removes a secret that no live instance names.
func (e *Engine) RemoveSecret(ctx context.Context, name string) error {
	if user := e.secretUser(account.Of(ctx).Account, name); user != "" {
		return api.Errorf(api.Conflict, "secret %s is used by instance %s", name, user).WithNext("stop the instance first: `cis stop %s`", user)
	}
	err := e.cfg.Store.DeleteSecret(ctx, account.Of(ctx).Account, name)
	if errors.Is(err, store.ErrNotFound) {
		return noSecret(name)
	}
	return err
}

// secretUser is a live instance of an account that names the secret.
func (e *Engine) secretUser(owner, name string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.lives {
		rec, _ := l.snapshot()
		if rec.Account != owner {
			continue
		}
		if slices.Contains(rec.Spec.ImagePullSecrets, name) ||
			showsSecret(rec.Spec, name) {
			return rec.Spec.Name
		}
	}
	return ""
}

func shown(s api.Secret) api.Secret {
	s.Keys, s.Data = slices.Sorted(maps.Keys(s.Data)), nil
	return s
}

func noSecret(name string) *api.Error {
	return api.Errorf(api.NotFound, "there is no secret %q", name).WithNext("create it: `cis secret create %s …`", name)
}

// checkSecret refuses a field that names a missing secret or one of another type.
func (e *Engine) checkSecret(ctx context.Context, owner, field, name string, kind api.SecretType) error {
	s, err := e.cfg.Store.Secret(ctx, owner, name)
	if errors.Is(err, store.ErrNotFound) {
		missing := noSecret(name)
		missing.Code, missing.Field = api.Invalid, field
		return missing
	}
	if err == nil && kind != "" && s.Type != kind {
		err = api.FieldError(field, "secret %s is of type %s, not %s", name, s.Type, kind)
	}
	return err
}

// registryAuths are the credentials to try, the request's own first.
func (e *Engine) registryAuths(ctx context.Context, owner string, secrets []string, own *api.RegistryAuth) (auths []image.Auth, err error) {
	if own != nil {
		auths = append(auths, image.Auth{Registry: own.Registry, Username: own.Username, Password: own.Password, Token: own.Token})
	}
	for _, name := range secrets {
		s, err := e.cfg.Store.Secret(ctx, owner, name)
		if errors.Is(err, store.ErrNotFound) {
			return nil, noSecret(name)
		}
		if err != nil {
			return nil, err
		}
		more, err := parseDockerConfig(s.Data[dockerConfigKey])
		if err != nil {
			return nil, fmt.Errorf("secret %s: %w", name, err)
		}
		auths = append(auths, more...)
	}
	return auths, nil
}

// parseDockerConfig reads the credentials of docker's config.json
// (https://github.com/docker/cli, cli/config/configfile: auths, with auth being
// base64 of user:password).
func parseDockerConfig(data []byte) ([]image.Auth, error) {
	var file struct {
		Auths map[string]struct {
			Auth, Username, Password, IdentityToken, RegistryToken string
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, err
	}
	if len(file.Auths) == 0 {
		return nil, errors.New(`it has no "auths"`)
	}
	var auths []image.Auth
	for _, registry := range slices.Sorted(maps.Keys(file.Auths)) {
		a := file.Auths[registry]
		if a.Auth != "" {
			text, err := base64.StdEncoding.DecodeString(a.Auth)
			user, password, ok := strings.Cut(string(text), ":")
			if err != nil || !ok {
				return nil, fmt.Errorf("auths[%s].auth is not base64 of user:password", registry)
			}
			a.Username, a.Password = user, password
		}
		auths = append(auths, image.Auth{Registry: registry, Username: a.Username, Password: a.Password, Token: a.RegistryToken})
	}
	return auths, nil
}
