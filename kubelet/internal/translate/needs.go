package translate

import corev1 "k8s.io/api/core/v1"

// Needs names what Pod wants to have in Material.
type Needs struct {
	ConfigMaps, Secrets map[string]bool
	// Claims for volumes.
	Claims map[string]bool
	Tokens map[TokenRequest]bool
}

// NeedsOf reads them from a pod.
func NeedsOf(pod *corev1.Pod) Needs {
	n := newNeeds()
	for _, ref := range pod.Spec.ImagePullSecrets {
		n.Secrets[ref.Name] = true
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			n.container(&list[i])
		}
	}
	n.volumes(pod)
	return n
}

func newNeeds() Needs {
	return Needs{ConfigMaps: map[string]bool{}, Secrets: map[string]bool{}, Claims: map[string]bool{}, Tokens: map[TokenRequest]bool{}}
}

// VolumeNeeds are those of Files.
func VolumeNeeds(pod *corev1.Pod) Needs {
	n := newNeeds()
	n.volumes(pod)
	return n
}

func (n Needs) volumes(pod *corev1.Pod) {
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if name := claimOf(pod, v); name != "" {
			n.Claims[name] = true
		}
		switch {
		case v.ConfigMap != nil:
			n.ConfigMaps[v.ConfigMap.Name] = true
		case v.Secret != nil:
			n.Secrets[v.Secret.SecretName] = true
		case v.Projected != nil:
			for _, s := range v.Projected.Sources {
				n.projection(s)
			}
		}
	}
}

func (n Needs) container(c *corev1.Container) {
	for _, from := range c.EnvFrom {
		if from.ConfigMapRef != nil {
			n.ConfigMaps[from.ConfigMapRef.Name] = true
		}
		if from.SecretRef != nil {
			n.Secrets[from.SecretRef.Name] = true
		}
	}
	for _, v := range c.Env {
		if v.ValueFrom == nil {
			continue
		}
		if ref := v.ValueFrom.ConfigMapKeyRef; ref != nil {
			n.ConfigMaps[ref.Name] = true
		}
		if ref := v.ValueFrom.SecretKeyRef; ref != nil {
			n.Secrets[ref.Name] = true
		}
	}
}

func (n Needs) projection(s corev1.VolumeProjection) {
	if s.ConfigMap != nil {
		n.ConfigMaps[s.ConfigMap.Name] = true
	}
	if s.Secret != nil {
		n.Secrets[s.Secret.Name] = true
	}
	if s.ServiceAccountToken != nil {
		n.Tokens[tokenRequest(s.ServiceAccountToken)] = true
	}
}
