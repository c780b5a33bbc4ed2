package translate

import (
	"reflect"
	"strconv"
	"strings"

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
	t.modules(pod.AppArmorProfile, pod.SELinuxOptions, "spec.securityContext")
	t.modules(sc.AppArmorProfile, sc.SELinuxOptions, field)
	made := api.SecurityContext{ReadOnlyRootFilesystem: is(sc.ReadOnlyRootFilesystem)}
	if p := or(sc.SeccompProfile, pod.SeccompProfile); p != nil && p.Type == corev1.SeccompProfileTypeUnconfined {
		made.SeccompProfile = &api.SeccompProfile{Type: api.SeccompUnconfined}
	}
	if e := sc.AllowPrivilegeEscalation; e != nil && !*e {
		made.AllowPrivilegeEscalation = e
	}
	if caps := sc.Capabilities; caps != nil {
		made.Capabilities = &api.Capabilities{Add: capabilities(caps.Add), Drop: capabilities(caps.Drop)}
	}
	made.RunAsNonRoot = is(or(sc.RunAsNonRoot, pod.RunAsNonRoot))
	made.SupplementalGroups = pod.SupplementalGroups
	if p := pod.SupplementalGroupsPolicy; p != nil && *p == corev1.SupplementalGroupsPolicyStrict {
		made.SupplementalGroupsPolicy = api.GroupsStrict
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

// seccomp accepts what needs no file of the node.
func (t *translation) seccomp(p *corev1.SeccompProfile, field string) {
	if p != nil && p.Type == corev1.SeccompProfileTypeLocalhost {
		t.problems.refuse(field+".type", "only RuntimeDefault and Unconfined are accepted")
	}
}

// modules accepts what asks for no security module: the kernels inside have none.
func (t *translation) modules(armor *corev1.AppArmorProfile, linux *corev1.SELinuxOptions, field string) {
	if armor != nil && armor.Type != corev1.AppArmorProfileTypeUnconfined {
		t.problems.refuse(field+".appArmorProfile.type", "there is no AppArmor in an instance; only Unconfined is accepted")
	}
	if linux != nil && *linux != (corev1.SELinuxOptions{}) {
		t.problems.refuse(field+".seLinuxOptions", "there is no SELinux in an instance; only an empty value is accepted")
	}
}

// instanceSecurity is what holds for the pod as a whole. Kubernetes' policy where none is given is
// Always.
func (t *translation) instanceSecurity(sc *corev1.PodSecurityContext) *api.InstanceSecurityContext {
	if sc == nil || sc.FSGroup == nil && len(sc.Sysctls) == 0 {
		return nil
	}
	made := &api.InstanceSecurityContext{FSGroup: sc.FSGroup}
	if sc.FSGroup != nil {
		made.FSGroupChangePolicy = api.FSGroupAlways
		if p := sc.FSGroupChangePolicy; p != nil {
			made.FSGroupChangePolicy = api.FSGroupChangePolicy(*p)
		}
	}
	if len(sc.Sysctls) > 0 && t.Isolation == api.IsolationGVisor {
		t.problems.refuse("spec.securityContext.sysctls", "those of the kernel of gVisor are not set; a VM's are (runtimeClassName cis-vm)")
	}
	for _, s := range sc.Sysctls {
		made.Sysctls = append(made.Sysctls, api.Sysctl{Name: strings.ReplaceAll(s.Name, "/", "."), Value: s.Value})
	}
	return made
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
