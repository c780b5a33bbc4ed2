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

// fileVolume gathers the files of all sources; a later one of a path wins.
func (t *translation) fileVolume(name string, defaultMode *int32, sources []corev1.VolumeProjection, field string) api.Volume {
	f := &files{t: t, volume: name, mode: defaultFileMode, at: map[string]file{}}
	if defaultMode != nil {
		f.mode = *defaultMode
	}
	for i, s := range sources {
		f.source(s, fmt.Sprintf("%s.projected.sources[%d]", field, i))
	}
	secret := api.Secret{Name: t.secretName(name), Type: api.SecretOpaque, Data: map[string][]byte{}}
	volume := &api.SecretVolume{SecretName: secret.Name}
	for i, p := range slices.Sorted(maps.Keys(f.at)) {
		key := strconv.Itoa(i)
		secret.Data[key] = f.at[p].data
		volume.Items = append(volume.Items, api.KeyToPath{Key: key, Path: p, Mode: fmt.Sprintf("%04o", f.at[p].mode)})
	}
	if len(volume.Items) == 0 { // an optional source that is not there: an empty directory
		return api.Volume{Name: name, EmptyDir: &api.EmptyDir{}}
	}
	t.out.Secrets = append(t.out.Secrets, secret)
	return api.Volume{Name: name, Secret: volume}
}

type file struct {
	data []byte
	mode int32
}

// files of one volume.
type files struct {
	t      *translation
	volume string
	mode   int32
	at     map[string]file
}

func (f *files) put(p string, data []byte, mode *int32) {
	one := file{data, f.mode}
	if mode != nil {
		one.mode = *mode
	}
	f.at[path.Clean(p)] = one
}

func (f *files) source(s corev1.VolumeProjection, field string) {
	switch m := f.t.Material; {
	case s.ConfigMap != nil:
		cm := m.ConfigMaps[s.ConfigMap.Name]
		if cm == nil {
			f.t.absent(f.volume, "configmap", s.ConfigMap.Name, s.ConfigMap.Optional)
			return
		}
		data := maps.Clone(cm.BinaryData)
		if data == nil {
			data = map[string][]byte{}
		}
		for key, value := range cm.Data {
			data[key] = []byte(value)
		}
		f.keys(data, s.ConfigMap.Items, s.ConfigMap.Optional)
	case s.Secret != nil:
		secret := m.Secrets[s.Secret.Name]
		if secret == nil {
			f.t.absent(f.volume, "secret", s.Secret.Name, s.Secret.Optional)
			return
		}
		f.keys(secret.Data, s.Secret.Items, s.Secret.Optional)
	case s.DownwardAPI != nil:
		f.downward(s.DownwardAPI.Items, field)
	case s.ServiceAccountToken != nil:
		f.put(s.ServiceAccountToken.Path, []byte(m.Tokens[tokenRequest(s.ServiceAccountToken)]), nil)
	}
}

// keys takes all of the data, or the items.
func (f *files) keys(data map[string][]byte, items []corev1.KeyToPath, optional *bool) {
	if len(items) == 0 {
		for key, value := range data {
			f.put(key, value, nil)
		}
	}
	for _, item := range items {
		value, ok := data[item.Key]
		if ok {
			f.put(item.Path, value, item.Mode)
		} else if !is(optional) {
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

// cleanMount leaves a path in its shortest form, as /v1 wants it.
func cleanMount(p string) string { return path.Clean("/" + p) }

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
