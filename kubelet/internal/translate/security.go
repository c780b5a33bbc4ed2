package translate

import (
	"reflect"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"cis/api"
)

// security is the container's context, with the pod's where it says nothing.
func (t *translation) security(c *corev1.Container, out *api.Container, field string) {
	sc, pod := c.SecurityContext, t.Pod.Spec.SecurityContext
	if sc == nil {
		sc = &corev1.SecurityContext{}
	}
	if pod == nil {
		pod = &corev1.PodSecurityContext{}
	}
	out.User = t.user(or(sc.RunAsUser, pod.RunAsUser), or(sc.RunAsGroup, pod.RunAsGroup), field)
	t.privileges(sc, field)
	t.seccomp(pod.SeccompProfile, "spec.securityContext.seccompProfile")
	t.seccomp(sc.SeccompProfile, field+".seccompProfile")
	made := api.SecurityContext{ReadOnlyRootFilesystem: is(sc.ReadOnlyRootFilesystem)}
	if e := sc.AllowPrivilegeEscalation; e != nil && !*e {
		made.AllowPrivilegeEscalation = e
	}
	if caps := sc.Capabilities; caps != nil {
		made.Capabilities = &api.Capabilities{Add: capabilities(caps.Add), Drop: capabilities(caps.Drop)}
	}
	made.RunAsNonRoot = is(or(sc.RunAsNonRoot, pod.RunAsNonRoot))
	made.SupplementalGroups = pod.SupplementalGroups
	if p := pod.SupplementalGroupsPolicy; p != nil && *p != corev1.SupplementalGroupsPolicyMerge {
		t.problems.refuse("spec.securityContext.supplementalGroupsPolicy", "only Merge is accepted")
	}
	if !reflect.ValueOf(made).IsZero() {
		out.SecurityContext = &made
	}
}

func (t *translation) user(user, group *int64, field string) string {
	switch {
	case user == nil && group == nil:
		return ""
	case user == nil:
		t.problems.refuse(field+".runAsGroup", "needs runAsUser")
		return ""
	case group == nil:
		return strconv.FormatInt(*user, 10)
	}
	return strconv.FormatInt(*user, 10) + ":" + strconv.FormatInt(*group, 10)
}

func (t *translation) privileges(sc *corev1.SecurityContext, field string) {
	if is(sc.Privileged) {
		t.problems.refuse(field+".privileged", "an instance has no privileges on the host")
	}
	if p := sc.ProcMount; p != nil && *p != corev1.DefaultProcMount {
		t.problems.refuse(field+".procMount", "only Default is accepted")
	}
}

// seccomp accepts the profile that every container has anyway.
func (t *translation) seccomp(p *corev1.SeccompProfile, field string) {
	if p != nil && p.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.problems.refuse(field+".type", "only RuntimeDefault is accepted")
	}
}

func capabilities(names []corev1.Capability) (out []string) {
	for _, name := range names {
		out = append(out, string(name))
	}
	return out
}

func is(b *bool) bool { return b != nil && *b }

func or[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}
