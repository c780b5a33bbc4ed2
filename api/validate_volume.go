package api

import (
	"encoding/base64"
	"fmt"
	"path"
	"strconv"
	"strings"
)

// MaxFiles bounds the content of all inline files of a spec, and that of a secret.
const MaxFiles = MiB

// MaxSecretVolumes is how many volumes of secrets an instance may have, and MaxSources how
// many sources one may have.
const (
	MaxSecretVolumes = 32
	MaxSources       = 64
)

// volumes checks them and returns their names.
func (c *checker) volumes(s *InstanceSpec) map[string]bool {
	names, disks := map[string]bool{}, map[string]bool{}
	var content Bytes
	secrets := 0
	for i := range s.Volumes {
		v, field := &s.Volumes[i], fmt.Sprintf("volumes[%d]", i)
		c.check(isDNSLabel(v.Name), field+".name", dnsLabelRule)
		c.unique(names, v.Name, field+".name")
		n := 0
		if v.EmptyDir != nil {
			n++
			c.emptyDir(v.EmptyDir, s, field+".emptyDir")
		}
		if v.Files != nil {
			n++
			content += c.files(v.Files, field+".files")
		}
		if v.Secret != nil {
			n++
			c.secretVolume(v.Secret, field+".secret")
		}
		if v.Projected != nil {
			n++
			c.projectedVolume(v.Projected, field+".projected")
		}
		if v.Secret != nil || v.Projected != nil {
			secrets++
		}
		if v.Disk != nil {
			n++
			c.disk(v.Disk, disks, field+".disk")
		}
		if v.NFS != nil {
			n++
			c.nfs(v.NFS, field+".nfs")
		}
		c.check(n == 1, field, "must have exactly one of emptyDir, files, secret, projected, disk and nfs, not %d", n)
	}
	c.check(content <= MaxFiles, "volumes", "the inline files have %d bytes; at most %s are allowed in all", content, MaxFiles)
	c.check(secrets <= MaxSecretVolumes, "volumes", "%d of them are of secrets; at most %d are allowed", secrets, MaxSecretVolumes)
	return names
}

func (c *checker) emptyDir(e *EmptyDir, s *InstanceSpec, field string) {
	c.check(e.Medium == "" || e.Medium == "Memory", field+".medium", "must be left out (disk) or Memory, not %q", clip(e.Medium))
	most, of := s.EphemeralStorage, "ephemeralStorage"
	if e.Medium == "Memory" {
		most, of = s.Memory, "memory"
	}
	c.check(e.SizeLimit <= most, field+".sizeLimit", "must be at most the instance's %s of %s, not %s", of, most, e.SizeLimit)
}

// secretKeyRule is in words what isSecretKey tells.
const secretKeyRule = "must be 1 to 253 letters, digits, '-', '_' and '.', and not begin with '..'"

func (c *checker) secretVolume(s *SecretVolume, field string) {
	c.check(isDNSSubdomain(s.SecretName), field+".secretName", dnsSubdomainRule)
	c.mode(s.DefaultMode, field+".defaultMode")
	c.secretItems(s.Items, field)
}

func (c *checker) projectedVolume(p *ProjectedVolume, field string) {
	c.mode(p.DefaultMode, field+".defaultMode")
	c.check(len(p.Sources) > 0, field+".sources", "must have at least one source")
	c.check(len(p.Sources) <= MaxSources, field+".sources", "has %d sources; at most %d are allowed", len(p.Sources), MaxSources)
	for i, source := range p.Sources {
		at := fmt.Sprintf("%s.sources[%d].secret", field, i)
		if source.Secret == nil {
			c.bad(at, "must be set")
			continue
		}
		c.check(isDNSSubdomain(source.Secret.Name), at+".name", dnsSubdomainRule)
		c.secretItems(source.Secret.Items, at)
	}
}

func (c *checker) secretItems(items []KeyToPath, field string) {
	paths := make([]string, len(items))
	for i, item := range items {
		at := fmt.Sprintf("%s.items[%d]", field, i)
		c.check(isSecretKey(item.Key), at+".key", secretKeyRule)
		c.mode(item.Mode, at+".mode")
		c.check(!strings.HasPrefix(item.Path, ".."), at+".path", "must not begin with '..'")
		paths[i] = item.Path
	}
	c.filePaths(paths, field)
}

// filePaths checks the places of a volume's files.
func (c *checker) filePaths(paths []string, field string) {
	seen := map[string]bool{}
	for i, p := range paths {
		at := fmt.Sprintf("%s.items[%d].path", field, i)
		c.check(isFilePath(p), at, filePathRule)
		c.unique(seen, p, at)
	}
	for i, p := range paths {
		if dir := fileAbove(p, seen); dir != "" {
			c.bad(fmt.Sprintf("%s.items[%d].path", field, i), "%q is a file too, so it cannot be a directory", clip(dir))
		}
	}
}

// files checks inline files and returns the size of their content.
func (c *checker) files(f *FilesVolume, field string) (content Bytes) {
	c.check(len(f.Items) > 0, field+".items", "must have at least one file")
	paths := make([]string, len(f.Items))
	for i, item := range f.Items {
		at := fmt.Sprintf("%s.items[%d]", field, i)
		paths[i] = item.Path
		c.check(item.Content == "" || item.ContentBase64 == "", at+".contentBase64", "excludes content")
		c.mode(item.Mode, at+".mode")
		decoded, err := base64.StdEncoding.DecodeString(item.ContentBase64)
		c.check(err == nil, at+".contentBase64", "must be standard base64 with padding")
		content += Bytes(len(item.Content) + len(decoded))
	}
	c.filePaths(paths, field)
	return content
}

// fileAbove returns the directory of a path that is listed as a file, if any.
func fileAbove(p string, files map[string]bool) string {
	if !isFilePath(p) {
		return ""
	}
	for i := range len(p) {
		if p[i] == '/' && files[p[:i]] {
			return p[:i]
		}
	}
	return ""
}

// filePathRule is in words what isFilePath tells.
const filePathRule = "must be a relative path of at most 1024 bytes without '.', '..' and doubled slashes"

// isFilePath is relative and stays inside.
func isFilePath(p string) bool {
	return p != "" && p != "." && len(p) <= 1024 && path.Clean(p) == p && !path.IsAbs(p) &&
		p != ".." && !strings.HasPrefix(p, "../") && !strings.ContainsRune(p, 0)
}

// mode checks permission bits, which JSON has no octal numbers for.
func (c *checker) mode(mode, field string) {
	bits, err := strconv.ParseUint(mode, 8, 32)
	c.check(err == nil && bits <= 0o777, field, "must be permission bits in octal from 0000 to 0777, such as 0644, not %q", clip(mode))
}

// Validate checks a secret that is to be kept.
func (s *Secret) Validate() error {
	var c checker
	c.check(isDNSSubdomain(s.Name), "name", dnsSubdomainRule)
	oneOf(&c, s.Type, "type", SecretOpaque, SecretRegistry)
	var size Bytes
	for key, value := range s.Data {
		c.check(isSecretKey(key), fmt.Sprintf("data[%s]", clip(key)), "the key "+secretKeyRule)
		size += Bytes(len(value))
	}
	c.check(size <= MaxFiles, "data", "has %d bytes; at most %s are allowed in all", size, MaxFiles)
	if s.Type == SecretRegistry {
		c.check(len(s.Data[".dockerconfigjson"]) > 0, "data[.dockerconfigjson]", "is needed for type %s: the text of docker's config.json", SecretRegistry)
	}
	c.check(len(s.Keys) == 0, "keys", "is shown, not set; use data")
	c.check(s.CreatedAt.IsZero(), "createdAt", "is shown, not set")
	return Join(c.mistakes)
}

// Validate checks a pull request.
func (p *ImagePull) Validate() error {
	var c checker
	if err := checkImageRef(p.Ref); err != nil {
		c.bad("ref", "%s", err.Error())
	}
	oneOf(&c, p.Policy, "policy", PullAlways, PullIfNotPresent, PullNever)
	if p.Auth != nil {
		c.registryAuth(p.Auth, "auth")
	}
	for i, name := range p.Secrets {
		c.check(isDNSSubdomain(name), fmt.Sprintf("secrets[%d]", i), dnsSubdomainRule)
	}
	return Join(c.mistakes)
}

// ValidateImageRef checks the syntax of an image reference, for the field that holds it.
func ValidateImageRef(field, ref string) error {
	if err := checkImageRef(ref); err != nil {
		return FieldError(field, "%s", err.Error())
	}
	return nil
}

func (c *checker) registryAuth(a *RegistryAuth, field string) {
	c.check(a.Registry == "" || isRegistryHost(a.Registry), field+".registry", "must be a host name or address, optionally with a port")
	c.check(a.Token == "" || a.Username == "" && a.Password == "", field+".token", "excludes username and password")
	c.check(a.Token != "" || a.Username != "", field, "must have a token, or a username and a password")
	c.check(!hasControl(a.Token+a.Username+a.Password), field, "must have no control characters")
}
