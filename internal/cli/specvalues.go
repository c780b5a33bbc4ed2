package cli

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"cis/api"
)

// parseBytes reads an amount of bytes. Docker's 256m and 1g are welcome, since m
// and g mean nothing else here.
func parseBytes(v string) (api.Bytes, error) {
	if n := len(v) - 1; n > 0 && isDigit(v[n-1]) {
		switch v[n] {
		case 'm':
			v = v[:n] + "Mi"
		case 'g':
			v = v[:n] + "Gi"
		}
	}
	return api.ParseBytes(v)
}

// parseSeconds reads whole seconds, plain or as a duration such as 10m.
func parseSeconds(v string) (int64, error) {
	if n, err := strconv.ParseInt(v, 10, 64); err == nil && n >= 0 {
		return n, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a time: use seconds such as 90, or a duration such as 10m", v)
	}
	return int64((d + time.Second - 1) / time.Second), nil
}

// parseRegistryAuth reads USER:PASSWORD, or @FILE that holds it.
func parseRegistryAuth(v string) (*api.RegistryAuth, error) {
	if file, ok := strings.CutPrefix(v, "@"); ok {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		v = strings.TrimRight(string(data), "\r\n")
	}
	user, password, ok := strings.Cut(v, ":")
	if !ok || user == "" {
		return nil, errors.New("it must be USER:PASSWORD, or @FILE that holds it")
	}
	return &api.RegistryAuth{Username: user, Password: password}, nil
}

func appendCap(list *[]string, v string) error {
	for name := range strings.SplitSeq(v, ",") {
		name = strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(name)), "CAP_")
		if name == "" {
			return errors.New("it must not be empty")
		}
		*list = append(*list, name)
	}
	return nil
}

func (s *specBuilder) label(v string) error {
	key, value, _ := strings.Cut(v, "=")
	if key == "" {
		return fmt.Errorf("%q is not a label: use KEY=VALUE", v)
	}
	if s.req.Labels == nil {
		s.req.Labels = map[string]string{}
	}
	s.req.Labels[key] = value
	return nil
}

func (s *specBuilder) publish(v string) error {
	p, err := parsePublished(v)
	if err == nil {
		s.req.Network.Ports = append(s.req.Network.Ports, p)
	}
	return err
}

// parsePublished reads [[HOST:]HOSTPORT:]PORT[/PROTOCOL]; an IPv6 HOST is in brackets.
func parsePublished(v string) (p api.PublishedPort, err error) {
	wrong := fmt.Errorf("%q is not [[HOST:]HOSTPORT:]PORT[/udp], such as 8080:80", v)
	rest, protocol, given := strings.Cut(v, "/")
	p.Protocol = strings.ToUpper(protocol)
	if given && p.Protocol != "TCP" && p.Protocol != "UDP" {
		return p, wrong
	}
	parts := []string{rest}
	if i := strings.LastIndexByte(rest, ':'); i >= 0 {
		parts = []string{rest[:i], rest[i+1:]}
		if j := strings.LastIndexByte(rest[:i], ':'); j >= 0 {
			parts = []string{rest[:j], rest[j+1 : i], rest[i+1:]}
		}
	}
	if p.Port, err = parsePort(parts[len(parts)-1]); err != nil {
		return p, wrong
	}
	if n := len(parts) - 2; n >= 0 && parts[n] != "" {
		if p.HostPort, err = parsePort(parts[n]); err != nil {
			return p, wrong
		}
	}
	if len(parts) == 3 {
		p.HostAddress = strings.TrimSuffix(strings.TrimPrefix(parts[0], "["), "]")
		if _, err := netip.ParseAddr(p.HostAddress); err != nil {
			return p, wrong
		}
	}
	return p, nil
}

func parsePort(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err == nil && n == 0 {
		err = strconv.ErrRange
	}
	return int(n), err
}

func (s *specBuilder) env(v string) error {
	e, found, err := parseEnv(v, s.getenv)
	if err == nil && found {
		s.container.Env = setEnv(s.container.Env, e)
	}
	return err
}

// parseEnv reads NAME=VALUE, or NAME alone, which takes its value from the
// environment of cis and is left out when that is empty.
func parseEnv(v string, getenv func(string) string) (e api.EnvVar, found bool, err error) {
	name, value, given := strings.Cut(v, "=")
	if name == "" || strings.ContainsAny(name, " \t") {
		return e, false, fmt.Errorf("%q is not an environment variable: use NAME=VALUE", v)
	}
	if !given {
		value = getenv(name)
	}
	return api.EnvVar{Name: name, Value: value}, given || value != "", nil
}

// setEnv gives a variable its value; a later one replaces an earlier one.
func setEnv(env []api.EnvVar, e api.EnvVar) []api.EnvVar {
	if i := slices.IndexFunc(env, func(old api.EnvVar) bool { return old.Name == e.Name }); i >= 0 {
		env[i] = e
		return env
	}
	return append(env, e)
}

func (s *specBuilder) envFile(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		line = strings.TrimLeft(strings.TrimRight(line, "\r\n"), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		if err := s.env(line); err != nil {
			return fmt.Errorf("%s line %d: %w", file, number, err)
		}
	}
	return nil
}

// addVolume mounts a volume; its name tells where it came from.
func (s *specBuilder) addVolume(prefix, dst string, readOnly bool, v api.Volume) error {
	if !path.IsAbs(dst) {
		return fmt.Errorf("%q must be an absolute path", dst)
	}
	v.Name = fmt.Sprintf("%s-%d", prefix, len(s.req.Volumes))
	s.req.Volumes = append(s.req.Volumes, v)
	s.container.VolumeMounts = append(s.container.VolumeMounts,
		api.VolumeMount{Name: v.Name, MountPath: path.Clean(dst), ReadOnly: readOnly})
	return nil
}

// tmpfs reads PATH[:SIZE]; docker's PATH:size=SIZE is the same.
func (s *specBuilder) tmpfs(v string) error {
	dst, amount, bounded := strings.Cut(v, ":")
	dir := &api.EmptyDir{Medium: "Memory"}
	if bounded {
		var err error
		if dir.SizeLimit, err = parseBytes(strings.TrimPrefix(amount, "size=")); err != nil {
			return err
		}
	}
	return s.addVolume("tmpfs", dst, false, api.Volume{EmptyDir: dir})
}

// mount reads docker's key=value form.
func (s *specBuilder) mount(v string) error {
	m := map[string]string{}
	for part := range strings.SplitSeq(v, ",") {
		key, value, _ := strings.Cut(part, "=")
		switch key {
		case "target", "destination":
			key = "dst"
		case "source":
			key = "src"
		case "ro":
			key = "readonly"
		case "type", "dst", "src", "size", "medium", "readonly":
		default:
			return fmt.Errorf("%q is not known: use type, src, dst, size, medium and readonly", key)
		}
		m[key] = value
	}
	readOnly := false
	if value, given := m["readonly"]; given {
		if err := setBool(&readOnly, firstOf(value, "true")); err != nil {
			return fmt.Errorf("readonly: %w", err)
		}
	}
	switch m["type"] {
	case "emptyDir", "tmpfs":
		return s.mountEmptyDir(m, readOnly)
	case "secret":
		if m["src"] == "" {
			return errors.New("src must name the secret")
		}
		return s.addVolume("secret", m["dst"], true, api.Volume{Secret: &api.SecretVolume{SecretName: m["src"]}})
	}
	return fmt.Errorf("type %q is not known: use emptyDir, tmpfs or secret", m["type"])
}

func (s *specBuilder) mountEmptyDir(m map[string]string, readOnly bool) error {
	dir := &api.EmptyDir{Medium: m["medium"]}
	if m["type"] == "tmpfs" {
		dir.Medium = "Memory"
	}
	if m["size"] != "" {
		var err error
		if dir.SizeLimit, err = parseBytes(m["size"]); err != nil {
			return fmt.Errorf("size: %w", err)
		}
	}
	return s.addVolume("empty", m["dst"], readOnly, api.Volume{EmptyDir: dir})
}

// disk reads NAME:PATH[:ro].
func (s *specBuilder) disk(v string) error {
	name, where, _ := strings.Cut(v, ":")
	at, err := parseMountPoint(where)
	if err != nil || name == "" {
		return fmt.Errorf("%q is not NAME:PATH[:ro]", v)
	}
	return s.addVolume("disk", at.MountPath, at.ReadOnly, api.Volume{Disk: &api.DiskVolume{Name: name}})
}

// nfs reads SERVER:/DIR:PATH[:ro]; an IPv6 SERVER is in brackets.
func (s *specBuilder) nfs(v string) error {
	wrong := fmt.Errorf("%q is not SERVER:/DIR:PATH[:ro], such as nas.lan:/export/data:/data", v)
	server, rest, ok := strings.Cut(v, ":/")
	dir, where, mounted := strings.Cut(rest, ":")
	at, err := parseMountPoint(where)
	if !ok || !mounted || err != nil || server == "" {
		return wrong
	}
	if inside, ok := strings.CutPrefix(server, "["); ok {
		server, ok = strings.CutSuffix(inside, "]")
		if !ok {
			return wrong
		}
	}
	share := &api.NFSVolume{Server: server, Path: path.Clean("/" + dir), ReadOnly: at.ReadOnly}
	return s.addVolume("nfs", at.MountPath, at.ReadOnly, api.Volume{NFS: share})
}

// maxFile bounds one file of --file; the server bounds their sum.
const maxFile = 1 << 20

// systemDirs would be hidden by files mounted over them.
var systemDirs = []string{"/", "/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr", "/usr/bin", "/usr/lib", "/usr/sbin"}

// file reads LOCAL:PATH. Files of one directory share a volume, which is that
// directory inside.
func (s *specBuilder) file(v string) error {
	i := strings.LastIndex(v, ":")
	if i <= 0 || !path.IsAbs(v[i+1:]) || strings.HasSuffix(v, "/") {
		return fmt.Errorf("%q is not LOCAL:PATH with an absolute path of a file", v)
	}
	item, err := fileItem(v[:i], path.Base(v[i+1:]))
	if err != nil {
		return err
	}
	dir := path.Dir(path.Clean(v[i+1:]))
	if slices.Contains(systemDirs, dir) {
		return fmt.Errorf("the file would hide all others in %s: choose a directory of its own, or copy it with 'cis cp'", dir)
	}
	for _, m := range s.container.VolumeMounts {
		if m.MountPath != dir {
			continue
		}
		for j := range s.req.Volumes {
			if vol := &s.req.Volumes[j]; vol.Name == m.Name && vol.Files != nil {
				vol.Files.Items = append(vol.Files.Items, item)
				return nil
			}
		}
	}
	return s.addVolume("files", dir, true, api.Volume{Files: &api.FilesVolume{Items: []api.FileItem{item}}})
}

func fileItem(local, name string) (api.FileItem, error) {
	info, err := os.Stat(local)
	if err != nil {
		return api.FileItem{}, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return api.FileItem{}, fmt.Errorf("%s must be a file of at most 1 MiB", local)
	}
	data, err := os.ReadFile(local)
	if err != nil {
		return api.FileItem{}, err
	}
	item := api.FileItem{Path: name, Mode: fmt.Sprintf("%04o", info.Mode().Perm())}
	if utf8.Valid(data) {
		item.Content = string(data)
	} else {
		item.ContentBase64 = base64.StdEncoding.EncodeToString(data)
	}
	return item, nil
}
