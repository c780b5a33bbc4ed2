package translate

import (
	"path"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"

	"cis/api"
)

func (t *translation) mount(m corev1.VolumeMount, env *environment, field string) api.VolumeMount {
	if p := m.MountPropagation; p != nil && *p != corev1.MountPropagationNone {
		t.problems.refuse(field+".mountPropagation", "an instance has no part in the host's mounts; only None is accepted")
	}
	if r := m.RecursiveReadOnly; r != nil && *r == corev1.RecursiveReadOnlyEnabled {
		t.problems.refuse(field+".recursiveReadOnly", "Enabled is not supported")
	}
	out := api.VolumeMount{Name: m.Name, MountPath: cleanMount(m.MountPath), ReadOnly: m.ReadOnly || t.readOnly[m.Name]}
	switch {
	case m.SubPathExpr != "":
		out.SubPath = t.subPath(t.expandPath(m.SubPathExpr, env, field+".subPathExpr"), field+".subPathExpr")
	case m.SubPath != "":
		out.SubPath = t.subPath(m.SubPath, field+".subPath")
	}
	return out
}

// expandPath replaces the variables of a path, all of which have to be known.
func (t *translation) expandPath(expr string, env *environment, field string) string {
	return expand(expr, func(name string) (template, bool) {
		value, ok := env.lookup(name)
		switch {
		case !ok:
			t.problems.refuse(field, "the container has no variable %q", name)
		case value.late():
			t.problems.refuse(field, "$(%s) is not known before the instance is made", name)
		}
		return value, ok
	}).plain()
}

// subPath is a part of a volume in the form that /v1 wants; empty: all of it.
func (t *translation) subPath(p, field string) string {
	if p = path.Clean(p); p == "." {
		return ""
	}
	if !filepath.IsLocal(p) {
		t.problems.refuse(field, "%q is not below the volume", p)
	}
	return p
}

// cleanMount leaves a path in its shortest form, as /v1 wants it.
func cleanMount(p string) string { return path.Clean("/" + p) }
