package translate

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// environment of a container: services, then envFrom, then env; a later one of a name
// takes the place of an earlier one.
func (t *translation) environment(c *corev1.Container, field string) *environment {
	e := &environment{at: map[string]int{}}
	services := serviceEnv(t.Pod, t.Material.Services)
	for _, name := range slices.Sorted(maps.Keys(services)) {
		e.set(name, literal(services[name]))
	}
	for _, from := range c.EnvFrom {
		t.envFrom(e, from)
	}
	for i, v := range c.Env {
		at := fmt.Sprintf("%s.env[%d]", field, i)
		switch {
		case v.ValueFrom == nil:
			e.set(v.Name, expand(v.Value, e.lookup))
		case v.ValueFrom.FieldRef != nil && addressField(v.ValueFrom.FieldRef.FieldPath):
			e.set(v.Name, addressRef)
		default:
			if value, ok := t.valueFrom(c, v.ValueFrom, at+".valueFrom"); ok {
				e.set(v.Name, literal(value))
			}
		}
	}
	return e
}

// addressField tells of those that cis fills in, since it gives out the address. An
// instance has one of IPv4, and more only where its subnet has IPv6.
func addressField(path string) bool { return path == "status.podIP" || path == "status.podIPs" }

// variable of an environment.
type variable struct {
	name  string
	value template
}

// environment keeps the order in which variables were first set.
type environment struct {
	vars []variable
	at   map[string]int
}

func (e *environment) set(name string, value template) {
	if i, ok := e.at[name]; ok {
		e.vars[i].value = value
		return
	}
	e.at[name] = len(e.vars)
	e.vars = append(e.vars, variable{name, value})
}

func (e *environment) lookup(name string) (template, bool) {
	i, ok := e.at[name]
	if !ok {
		return "", false
	}
	return e.vars[i].value, true
}

func (t *translation) envFrom(e *environment, from corev1.EnvFromSource) {
	data := map[string]string{}
	switch {
	case from.ConfigMapRef != nil:
		cm := t.Material.ConfigMaps[from.ConfigMapRef.Name]
		if cm == nil {
			t.absent("", "configmap", from.ConfigMapRef.Name, from.ConfigMapRef.Optional)
			return
		}
		data = cm.Data
	case from.SecretRef != nil:
		secret := t.Material.Secrets[from.SecretRef.Name]
		if secret == nil {
			t.absent("", "secret", from.SecretRef.Name, from.SecretRef.Optional)
			return
		}
		for key, value := range secret.Data {
			data[key] = string(value)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(data)) {
		e.set(from.Prefix+key, literal(data[key]))
	}
}

// absent tells of an object that is not there, unless it may be missing.
func (t *translation) absent(volume, kind, name string, optional *bool) {
	if !is(optional) {
		t.problems.lacks(volume, "%s %q not found", kind, name)
	}
}

// valueFrom is not ok for an optional value that is missing, too: then there is no such variable.
func (t *translation) valueFrom(c *corev1.Container, from *corev1.EnvVarSource, field string) (string, bool) {
	switch {
	case from.FieldRef != nil:
		value, err := t.fieldValue(from.FieldRef.FieldPath)
		if err != nil {
			t.problems.refuse(field+".fieldRef.fieldPath", "%v", err)
		}
		return value, err == nil
	case from.ResourceFieldRef != nil:
		value, err := t.resourceValue(c, from.ResourceFieldRef)
		if err != nil {
			t.problems.refuse(field+".resourceFieldRef", "%v", err)
		}
		return value, err == nil
	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		if cm := t.Material.ConfigMaps[ref.Name]; cm != nil {
			value, ok := cm.Data[ref.Key]
			return t.keyed(value, ok, "ConfigMap", ref.Name, ref.Key, ref.Optional)
		}
		t.absent("", "configmap", ref.Name, ref.Optional)
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		if secret := t.Material.Secrets[ref.Name]; secret != nil {
			value, ok := secret.Data[ref.Key]
			return t.keyed(string(value), ok, "Secret", ref.Name, ref.Key, ref.Optional)
		}
		t.absent("", "secret", ref.Name, ref.Optional)
	}
	return "", false
}

func (t *translation) keyed(value string, ok bool, kind, name, key string, optional *bool) (string, bool) {
	if !ok && !is(optional) {
		t.problems.lacks("", "couldn't find key %s in %s %s/%s", key, kind, t.Pod.Namespace, name)
	}
	return value, ok
}

// fieldValue is a field of the pod, as the downward API names it.
func (t *translation) fieldValue(path string) (string, error) {
	pod := t.Pod
	if m, key, ok := subscript(path); ok {
		switch m {
		case "metadata.labels":
			return pod.Labels[key], nil
		case "metadata.annotations":
			return pod.Annotations[key], nil
		}
		return "", fmt.Errorf("%q is not supported", path)
	}
	switch path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "metadata.labels":
		return formatMap(pod.Labels), nil
	case "metadata.annotations":
		return formatMap(pod.Annotations), nil
	case "spec.nodeName":
		return t.Node, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.hostIP":
		return strings.Join(t.HostIPs[:min(1, len(t.HostIPs))], ""), nil
	case "status.hostIPs":
		return strings.Join(t.HostIPs, ","), nil
	}
	return "", fmt.Errorf("%q is not known before the instance is made", path)
}

// subscript splits map['key'].
func subscript(path string) (name, key string, ok bool) {
	name, rest, ok := strings.Cut(path, "['")
	if !ok {
		return "", "", false
	}
	key, ok = strings.CutSuffix(rest, "']")
	return name, key, ok
}

// formatMap has the form of the downward API's files.
func formatMap(m map[string]string) string {
	lines := make([]string, 0, len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		lines = append(lines, key+"="+strconv.Quote(m[key]))
	}
	return strings.Join(lines, "\n")
}

// resourceValue is a container's limit or request in units of the divisor, rounded up.
// A limit that is not given is the node's.
func (t *translation) resourceValue(c *corev1.Container, ref *corev1.ResourceFieldSelector) (string, error) {
	if ref.ContainerName != "" {
		if c = t.containerNamed(ref.ContainerName); c == nil {
			return "", fmt.Errorf("there is no container %q", ref.ContainerName)
		}
	}
	if c == nil {
		return "", fmt.Errorf("containerName is needed")
	}
	list, name, limit := c.Resources.Limits, strings.TrimPrefix(ref.Resource, "limits."), true
	if request, ok := strings.CutPrefix(ref.Resource, "requests."); ok {
		list, name, limit = c.Resources.Requests, request, false
	}
	amount := list[corev1.ResourceName(name)]
	if amount.IsZero() && limit {
		switch corev1.ResourceName(name) {
		case corev1.ResourceCPU:
			amount = *resource.NewMilliQuantity(int64(t.NodeCPU), resource.DecimalSI)
		case corev1.ResourceMemory:
			amount = *resource.NewQuantity(int64(t.NodeMemory), resource.BinarySI)
		}
	}
	if name == string(corev1.ResourceCPU) {
		return strconv.FormatInt(divide(amount.MilliValue(), max(ref.Divisor.MilliValue(), 0), 1000), 10), nil
	}
	return strconv.FormatInt(divide(amount.Value(), ref.Divisor.Value(), 1), 10), nil
}

func divide(amount, divisor, otherwise int64) int64 {
	if divisor == 0 {
		divisor = otherwise
	}
	return (amount + divisor - 1) / divisor
}

func (t *translation) containerNamed(name string) *corev1.Container {
	for _, list := range [][]corev1.Container{t.Pod.Spec.InitContainers, t.Pod.Spec.Containers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}
