package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cis/api"
	"cis/client"
)

func (a *app) secretCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "secret",
		Short: "Keep small private values for instances",
		Long:  "Keep small private values: files for instances (--mount type=secret), and credentials of\nregistries (--pull-secret). Values are never shown again.",
		Example: example(`
cis secret create tls --from-file tls.key --from-file tls.crt
cis secret create hub --registry docker.io --registry-auth me:TOKEN
cis secret list`),
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.secretCreateCommand(), a.secretListCommand(), a.secretRmCommand())
	return cmd
}

// secretFlags are where a secret's values come from.
type secretFlags struct {
	literals, files        []string
	registry, registryAuth string
	dockerConfig           string
}

func (a *app) secretCreateCommand() *cobra.Command {
	var o secretFlags
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a secret, or replace its values",
		Long:  "Create a secret of keys and values, or of a registry's credentials. One that exists gets\nthe new values.",
		Example: example(`
cis secret create db --from-literal password=s3cret
cis secret create tls --from-file tls.key --from-file cert=server.crt
cis secret create hub --registry docker.io --registry-auth @credentials
cis secret create all --docker-config ~/.docker/config.json`),
		Args:              usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: a.completeSecrets(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := o.secret(args[0])
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			if s, err = c.PutSecret(cmd.Context(), s); err != nil {
				return err
			}
			fmt.Fprintln(a.Out, s.Name)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.literals, "from-literal", nil, "KEY=VALUE (may be repeated)")
	f.StringArrayVar(&o.files, "from-file", nil, "[KEY=]FILE; the key is the file's name unless given (may be repeated)")
	f.StringVar(&o.registry, "registry", "", "registry that --registry-auth is for, as HOST[:PORT]")
	f.StringVar(&o.registryAuth, "registry-auth", "", "USER:PASSWORD for --registry; @FILE reads it from a file")
	f.StringVar(&o.dockerConfig, "docker-config", "", "file of registry credentials as docker writes it")
	return cmd
}

// dockerConfigKey is the key that Kubernetes and docker's tools know.
const dockerConfigKey = ".dockerconfigjson"

func (o *secretFlags) secret(name string) (api.Secret, error) {
	s := api.Secret{Name: name, Type: api.SecretOpaque, Data: map[string][]byte{}}
	forRegistry := o.registry != "" || o.registryAuth != "" || o.dockerConfig != ""
	switch {
	case forRegistry && len(o.literals)+len(o.files) > 0, o.dockerConfig != "" && o.registry+o.registryAuth != "":
		return s, usagef("give --registry with --registry-auth, or --docker-config, or --from-literal and --from-file")
	case forRegistry:
		data, err := o.registryData()
		s.Type, s.Data[dockerConfigKey] = api.SecretRegistry, data
		return s, err
	case len(o.literals)+len(o.files) == 0:
		return s, usagef("there is no value: use --from-literal, --from-file, --registry or --docker-config")
	}
	for _, l := range o.literals {
		key, value, ok := strings.Cut(l, "=")
		if !ok || key == "" {
			return s, usagef("--from-literal: %q is not KEY=VALUE", l)
		}
		s.Data[key] = []byte(value)
	}
	for _, file := range o.files {
		key, path, ok := strings.Cut(file, "=")
		if !ok {
			key, path = filepath.Base(file), file
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return s, err
		}
		s.Data[key] = data
	}
	return s, nil
}

// registryData is a docker config.json with the one registry, or the given file.
func (o *secretFlags) registryData() ([]byte, error) {
	if o.dockerConfig != "" {
		return os.ReadFile(o.dockerConfig)
	}
	if o.registry == "" || o.registryAuth == "" {
		return nil, usagef("--registry and --registry-auth belong together")
	}
	auth, err := parseRegistryAuth(o.registryAuth)
	if err != nil {
		return nil, usagef("--registry-auth: %w", err)
	}
	type login struct {
		Username string `json:"username"`
		Password string `json:"password"`
		Auth     []byte `json:"auth"`
	}
	return json.Marshal(map[string]map[string]login{"auths": {o.registry: {
		auth.Username, auth.Password, []byte(auth.Username + ":" + auth.Password),
	}}})
}

func (a *app) secretListCommand() *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List secrets, without their values",
		Long:    "List secrets with their type and keys. Values are never shown.",
		Example: example(`
cis secret list
cis secret list -o json`),
		Args:              usageArgs(cobra.NoArgs),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			secrets, err := c.Secrets(cmd.Context())
			if err != nil {
				return err
			}
			if out.machine() {
				return printList(a.Out, out, secrets)
			}
			t := newTable(a.palette(a.Out), "NAME", "TYPE", "KEYS", "AGE")
			for _, s := range secrets {
				t.add(s.Name, string(s.Type), strings.Join(s.Keys, ","), since(time.Now(), s.CreatedAt))
			}
			return t.write(a.Out)
		},
	}
	outputFlag(cmd, &out, formatJSON, formatYAML)
	return cmd
}

func (a *app) secretRmCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rm NAME...",
		Short: "Remove secrets",
		Long:  "Remove secrets. Instances that run keep what they were given.",
		Example: example(`
cis secret rm db
cis secret rm db tls`),
		Args:              usageArgs(cobra.MinimumNArgs(1)),
		ValidArgsFunction: a.completeSecrets(-1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.each(cmd.Context(), args, func(ctx context.Context, c *client.Client, name string) (string, error) {
				return name, c.RemoveSecret(ctx, name)
			})
		},
	}
}
