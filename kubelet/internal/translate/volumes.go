package translate

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"cis/api"
)

// TokenRequest is a token that a volume wants of the pod's service account.
type TokenRequest struct {
	// Audience; empty: the API server's own.
	Audience string
	Seconds  int64
}

// volumes of the pod. What has files is kept by cis as a secret of the pod's, which is
// not shown with the instance.
func (t *translation) volumes() (out []api.Volume) {
	for i := range t.Pod.Spec.Volumes {
		v := &t.Pod.Spec.Volumes[i]
		field := fmt.Sprintf("spec.volumes[%d]", i)
		switch {
		case v.EmptyDir != nil:
			out = append(out, t.emptyDir(v, field))
		case v.NFS != nil:
			out = append(out, api.Volume{Name: v.Name, NFS: nfsVolume(v.NFS)})
		case v.ConfigMap != nil:
			out = append(out, t.fileVolume(v.Name, v.ConfigMap.DefaultMode, []corev1.VolumeProjection{{ConfigMap: &corev1.ConfigMapProjection{
				LocalObjectReference: v.ConfigMap.LocalObjectReference, Items: v.ConfigMap.Items, Optional: v.ConfigMap.Optional}}}, field))
		case v.Secret != nil:
			out = append(out, t.fileVolume(v.Name, v.Secret.DefaultMode, []corev1.VolumeProjection{{Secret: &corev1.SecretProjection{
				LocalObjectReference: corev1.LocalObjectReference{Name: v.Secret.SecretName}, Items: v.Secret.Items, Optional: v.Secret.Optional}}}, field))
		case v.DownwardAPI != nil:
			out = append(out, t.fileVolume(v.Name, v.DownwardAPI.DefaultMode, []corev1.VolumeProjection{{
				DownwardAPI: &corev1.DownwardAPIProjection{Items: v.DownwardAPI.Items}}}, field))
		case v.Projected != nil:
			out = append(out, t.fileVolume(v.Name, v.Projected.DefaultMode, v.Projected.Sources, field))
		}
		if name := claimOf(t.Pod, v); name != "" {
			if claimed, ok := t.claimed(v, name, field); ok {
				out = append(out, claimed)
			}
		}
	}
	return out
}

func (t *translation) emptyDir(v *corev1.Volume, field string) api.Volume {
	e := &api.EmptyDir{Medium: string(v.EmptyDir.Medium)}
	if m := v.EmptyDir.Medium; m != corev1.StorageMediumDefault && m != corev1.StorageMediumMemory {
		t.problems.refuse(field+".emptyDir.medium", "only the default and Memory are accepted")
	}
	if limit := v.EmptyDir.SizeLimit; limit != nil {
		e.SizeLimit = bytes(limit)
	}
	return api.Volume{Name: v.Name, EmptyDir: e}
}

const defaultFileMode = 0o644

// fileVolume has the files of all sources; a later one of a path wins. What of them there
// is may change while the pod runs, so only what the pod itself says is in the volume: it
// is the secrets that follow the sources.
func (t *translation) fileVolume(name string, defaultMode *int32, sources []corev1.VolumeProjection, field string) api.Volume {
	f := &files{t: t, volume: name, mode: defaultFileMode}
	if defaultMode != nil {
		f.mode = *defaultMode
	}
	for i, s := range sources {
		f.source(s, fmt.Sprintf("%s.projected.sources[%d]", field, i))
	}
	mode := octal(f.mode)
	switch len(f.parts) {
	case 0:
		return api.Volume{Name: name, EmptyDir: &api.EmptyDir{}}
	case 1:
		secret := t.keep(name, f.parts[0])
		return api.Volume{Name: name, Secret: &api.SecretVolume{SecretName: secret.Name, DefaultMode: mode, Items: secret.Items, Optional: true}}
	}
	p := &api.ProjectedVolume{DefaultMode: mode}
	for i, one := range f.parts {
		p.Sources = append(p.Sources, api.VolumeProjection{Secret: t.keep(name+"."+strconv.Itoa(i), one)})
	}
	return api.Volume{Name: name, Projected: p}
}

// keep makes a secret of a part of a volume.
func (t *translation) keep(name string, p *part) *api.SecretProjection {
	secret := api.Secret{Name: t.secretName(name), Type: api.SecretOpaque, Data: p.data}
	t.out.Secrets = append(t.out.Secrets, secret)
	return &api.SecretProjection{Name: secret.Name, Items: p.items, Optional: true}
}

func octal(mode int32) string { return fmt.Sprintf("%04o", mode) }

// part of a volume's files is what one secret of cis holds: either all keys of a source,
// whichever those are, or the files that the pod names, by numbers.
type part struct {
	data  map[string][]byte
	items []api.KeyToPath
	// named counts the files that were named.
	named int
}

// files of one volume.
type files struct {
	t      *translation
	volume string
	mode   int32
	parts  []*part
}

// named is the part for one more file that the pod names.
func (f *files) named() *part {
	if n := len(f.parts); n > 0 && f.parts[n-1].items != nil {
		return f.parts[n-1]
	}
	p := &part{data: map[string][]byte{}}
	f.parts = append(f.parts, p)
	return p
}

// put adds a file that the pod names; nil for one that does not exist now.
func (f *files) put(at string, data []byte, mode *int32) {
	p := f.named()
	item := api.KeyToPath{Key: strconv.Itoa(p.named), Path: path.Clean(at), Mode: octal(f.mode)}
	p.named++
	if mode != nil {
		item.Mode = octal(*mode)
	}
	p.items = slices.DeleteFunc(p.items, func(old api.KeyToPath) bool { return old.Path == item.Path })
	p.items = append(p.items, item)
	if data != nil {
		p.data[item.Key] = data
	}
}

func (f *files) source(s corev1.VolumeProjection, field string) {
	switch m := f.t.Material; {
	case s.ConfigMap != nil:
		f.keys(f.configMap(s.ConfigMap), s.ConfigMap.Items, s.ConfigMap.Optional)
	case s.Secret != nil:
		f.keys(f.secret(s.Secret), s.Secret.Items, s.Secret.Optional)
	case s.DownwardAPI != nil:
		f.downward(s.DownwardAPI.Items, field)
	case s.ServiceAccountToken != nil:
		f.put(s.ServiceAccountToken.Path, []byte(m.Tokens[tokenRequest(s.ServiceAccountToken)]), nil)
	}
}

// configMap is the data of one; nil if it does not exist.
func (f *files) configMap(s *corev1.ConfigMapProjection) map[string][]byte {
	cm := f.t.Material.ConfigMaps[s.Name]
	if cm == nil {
		f.t.absent(f.volume, "configmap", s.Name, s.Optional)
		return nil
	}
	data := map[string][]byte{}
	maps.Copy(data, cm.BinaryData)
	for key, value := range cm.Data {
		data[key] = []byte(value)
	}
	return data
}

// secret is the data of one; nil if it does not exist.
func (f *files) secret(s *corev1.SecretProjection) map[string][]byte {
	secret := f.t.Material.Secrets[s.Name]
	if secret == nil {
		f.t.absent(f.volume, "secret", s.Name, s.Optional)
		return nil
	}
	data := map[string][]byte{}
	maps.Copy(data, secret.Data)
	return data
}

// keys takes all of the data, or the items.
func (f *files) keys(data map[string][]byte, items []corev1.KeyToPath, optional *bool) {
	if len(items) == 0 {
		if data == nil {
			data = map[string][]byte{}
		}
		f.parts = append(f.parts, &part{data: data})
		return
	}
	for _, item := range items {
		value, ok := data[item.Key]
		if ok && value == nil {
			value = []byte{}
		}
		f.put(item.Path, value, item.Mode)
		if !ok && data != nil && !is(optional) {
			f.t.problems.lacks(f.volume, "references non-existent key: %s", item.Key)
		}
	}
}

func (f *files) downward(items []corev1.DownwardAPIVolumeFile, field string) {
	for _, item := range items {
		var value string
		var err error
		if item.FieldRef != nil {
			value, err = f.t.fieldValue(item.FieldRef.FieldPath)
		} else if item.ResourceFieldRef != nil {
			value, err = f.t.resourceValue(nil, item.ResourceFieldRef)
		}
		if err != nil {
			f.t.problems.refuse(field+".downwardAPI."+item.Path, "%v", err)
			continue
		}
		f.put(item.Path, []byte(value), item.Mode)
	}
}

func tokenRequest(s *corev1.ServiceAccountTokenProjection) TokenRequest {
	r := TokenRequest{Audience: s.Audience, Seconds: 3600}
	if s.ExpirationSeconds != nil {
		r.Seconds = *s.ExpirationSeconds
	}
	return r
}

// pullSecrets joins the pod's into one; an absent one is no error, since the image may
// need none.
func (t *translation) pullSecrets(s *api.InstanceSpec) {
	auths := map[string]json.RawMessage{}
	for _, ref := range t.Pod.Spec.ImagePullSecrets {
		secret := t.Material.Secrets[ref.Name]
		if secret == nil {
			continue
		}
		for host, auth := range registries(secret) {
			if _, ok := auths[host]; !ok {
				auths[host] = auth
			}
		}
	}
	if len(auths) == 0 {
		return
	}
	config, err := json.Marshal(map[string]any{"auths": auths})
	if err != nil {
		return // it was read from JSON
	}
	name := t.secretName("pull")
	t.out.Secrets = append(t.out.Secrets, api.Secret{Name: name, Type: api.SecretRegistry, Data: map[string][]byte{".dockerconfigjson": config}})
	s.ImagePullSecrets = []string{name}
}

// registries reads a pull secret of either form.
func registries(secret *corev1.Secret) map[string]json.RawMessage {
	var config struct {
		Auths map[string]json.RawMessage `json:"auths"`
	}
	if err := json.Unmarshal(secret.Data[corev1.DockerConfigJsonKey], &config); err == nil && config.Auths != nil {
		return config.Auths
	}
	var old map[string]json.RawMessage
	_ = json.Unmarshal(secret.Data[corev1.DockerConfigKey], &old)
	return old
}
