package api

import (
	"fmt"
	"slices"
	"strings"
)

// inInstance is what the containers of one instance share.
type inInstance struct {
	spec    *InstanceSpec
	volumes map[string]bool
	names   map[string]bool
	ports   map[string]bool
}

func (c *checker) containers(s *InstanceSpec, d Defaults, volumes map[string]bool) {
	c.check(len(s.Containers) > 0, "containers", "must have at least one container")
	total := len(s.Containers) + len(s.InitContainers)
	c.check(total <= d.maxContainers(), "containers",
		"with initContainers there must be at most %d, not %d", d.maxContainers(), total)
	c.check(len(s.EphemeralContainers) == 0, "ephemeralContainers", "can only be added to an instance that runs")
	in := inInstance{spec: s, volumes: volumes, names: map[string]bool{}, ports: map[string]bool{}}
	for i := range s.InitContainers {
		field := fmt.Sprintf("initContainers[%d]", i)
		c.container(&s.InitContainers[i], in, field)
		c.initContainer(&s.InitContainers[i], field)
	}
	for i := range s.Containers {
		c.container(&s.Containers[i], in, fmt.Sprintf("containers[%d]", i))
	}
}

// initContainer rules out what makes no sense for a program that must end.
func (c *checker) initContainer(ct *Container, field string) {
	if ct.sidecar() {
		return
	}
	for _, p := range []struct {
		name  string
		probe *Probe
	}{{"startupProbe", ct.StartupProbe}, {"livenessProbe", ct.LivenessProbe}, {"readinessProbe", ct.ReadinessProbe}} {
		c.check(p.probe == nil, field+"."+p.name, "init containers have no probes, but for those with restartPolicy Always")
	}
	c.check(ct.Lifecycle == nil, field+".lifecycle", "init containers have no hooks, but for those with restartPolicy Always")
}

func (c *checker) container(ct *Container, in inInstance, field string) {
	c.check(isDNSLabel(ct.Name), field+".name", dnsLabelRule)
	c.unique(in.names, ct.Name, field+".name")
	if err := checkImageRef(ct.Image); err != nil {
		c.bad(field+".image", "%s", err.Error())
	}
	oneOf(c, ct.ImagePullPolicy, field+".imagePullPolicy", PullAlways, PullIfNotPresent, PullNever)
	oneOf(c, ct.RestartPolicy, field+".restartPolicy", "", RestartNever, RestartOnFailure, RestartAlways)
	c.restartRules(ct, field)
	c.program(ct, field)
	c.limits(ct.Resources.Limits, in.spec, field+".resources.limits")
	c.containerPorts(ct, in, field)
	c.securityContext(ct.SecurityContext, field+".securityContext")
	c.mounts(ct, in.volumes, field)
	c.probes(ct, field)
	c.check(ct.TerminationMessagePath == "" || isCleanPath(ct.TerminationMessagePath) && ct.TerminationMessagePath != "/",
		field+".terminationMessagePath", cleanPathRule+", and not the root")
	oneOf(c, ct.TerminationMessagePolicy, field+".terminationMessagePolicy", "", MessageFromFile, MessageFallbackToLogs)
	if l := ct.Lifecycle; l != nil {
		c.hook(l.PostStart, field+".lifecycle.postStart")
		c.hook(l.PreStop, field+".lifecycle.preStop")
		_, ok := SignalNumber(l.StopSignal)
		c.check(l.StopSignal == "" || ok, field+".lifecycle.stopSignal", "must be a signal, such as SIGUSR1, SIGRTMIN+3 or 10, not %q", clip(l.StopSignal))
	}
}

// program checks what is run and how.
func (c *checker) program(ct *Container, field string) {
	c.words(ct.Command, field+".command")
	c.words(ct.Args, field+".args")
	c.check(len(ct.Command) == 0 || ct.Command[0] != "", field+".command[0]", "must name a program")
	c.env(ct.Env, field+".env")
	c.check(ct.WorkingDir == "" || isCleanPath(ct.WorkingDir), field+".workingDir", cleanPathRule)
	c.user(ct.User, field+".user")
	c.check(ct.Stdin || !ct.StdinOnce, field+".stdinOnce", "needs stdin: true")
}

func (c *checker) words(words []string, field string) {
	for i, word := range words {
		c.noNUL(word, fmt.Sprintf("%s[%d]", field, i))
	}
}

func (c *checker) env(env []EnvVar, field string) {
	for i, v := range env {
		c.check(isEnvName(v.Name), fmt.Sprintf("%s[%d].name", field, i), envNameRule)
		c.noNUL(v.Value, fmt.Sprintf("%s[%d].value", field, i))
		if v.ValueFrom != nil {
			c.valueFrom(v, fmt.Sprintf("%s[%d].valueFrom", field, i))
		}
	}
}

func (c *checker) valueFrom(v EnvVar, field string) {
	c.check(v.Value == "", field, "excludes value")
	if v.ValueFrom.FieldRef == nil {
		c.bad(field+".fieldRef", "is needed")
		return
	}
	oneOf(c, v.ValueFrom.FieldRef.FieldPath, field+".fieldRef.fieldPath", FieldAddress, FieldAddress6)
}

func (c *checker) user(user, field string) {
	c.check(user == "" || isUser(user), field, "must be a user name or number, optionally with :group, such as app, 1000 or 1000:1000")
}

func (c *checker) limits(l ResourceList, s *InstanceSpec, field string) {
	c.check(l.CPU <= s.CPU, field+".cpu", "must be at most the instance's cpu of %s cores, not %s", s.CPU, l.CPU)
	c.check(l.Memory <= s.Memory, field+".memory", "must be at most the instance's memory of %s, not %s", s.Memory, l.Memory)
}

func (c *checker) containerPorts(ct *Container, in inInstance, field string) {
	seen := map[string]bool{}
	for i, p := range ct.Ports {
		at := fmt.Sprintf("%s.ports[%d]", field, i)
		c.between(int64(p.ContainerPort), 1, 65535, at+".containerPort")
		oneOf(c, p.Protocol, at+".protocol", "TCP", "UDP")
		c.check(p.Name == "" || isPortName(p.Name), at+".name",
			"must be 1 to 15 lower-case letters, digits and single '-', with a letter, and none at the ends")
		c.unique(in.ports, p.Name, at+".name")
		c.unique(seen, fmt.Sprintf("%d/%s", p.ContainerPort, p.Protocol), at+".containerPort")
	}
}

const (
	maxSupplementalGroups = 64
	// maxGroup is the highest ID of a group; the next one means none.
	maxGroup = 1<<32 - 2
)

func (c *checker) instanceSecurity(sc *InstanceSecurityContext) {
	if sc == nil {
		return
	}
	if sc.FSGroup != nil {
		c.between(*sc.FSGroup, 0, maxGroup, "securityContext.fsGroup")
	}
	oneOf(c, sc.FSGroupChangePolicy, "securityContext.fsGroupChangePolicy", "", FSGroupOnRootMismatch, FSGroupAlways)
}

func (c *checker) securityContext(sc *SecurityContext, field string) {
	if sc == nil {
		return
	}
	c.check(len(sc.SupplementalGroups) <= maxSupplementalGroups, field+".supplementalGroups", "must be at most %d", maxSupplementalGroups)
	for i, group := range sc.SupplementalGroups {
		c.between(group, 0, maxGroup, fmt.Sprintf("%s.supplementalGroups[%d]", field, i))
	}
	oneOf(c, sc.SupplementalGroupsPolicy, field+".supplementalGroupsPolicy", "", GroupsMerge, GroupsStrict)
	if p := sc.SeccompProfile; p != nil {
		oneOf(c, p.Type, field+".seccompProfile.type", SeccompRuntimeDefault, SeccompUnconfined)
	}
	if sc.Capabilities == nil {
		return
	}
	c.capabilities(sc.Capabilities.Add, field+".capabilities.add")
	c.capabilities(sc.Capabilities.Drop, field+".capabilities.drop")
}

func (c *checker) mounts(ct *Container, volumes map[string]bool, field string) {
	seen := map[string]bool{}
	for i, m := range ct.VolumeMounts {
		at := fmt.Sprintf("%s.volumeMounts[%d]", field, i)
		c.check(volumes[m.Name], at+".name", "there is no volume %q; volumes must list it", clip(m.Name))
		c.check(isCleanPath(m.MountPath) && m.MountPath != "/", at+".mountPath", cleanPathRule+", and not the root")
		c.unique(seen, m.MountPath, at+".mountPath")
		c.check(m.SubPath == "" || isFilePath(m.SubPath), at+".subPath", filePathRule)
	}
}

// Validate checks the request as a command of an existing container.
func (r *ExecRequest) Validate() error {
	var c checker
	c.check(len(r.Command) > 0 && r.Command[0] != "", "command", "must name a program")
	c.words(r.Command, "command")
	c.env(r.Env, "env")
	c.check(r.WorkingDir == "" || isCleanPath(r.WorkingDir), "workingDir", cleanPathRule)
	c.user(r.User, "user")
	c.check(r.Container == "" || isDNSLabel(r.Container), "container", dnsLabelRule)
	return Join(c.mistakes)
}

// capabilityNames are Linux's, of include/uapi/linux/capability.h, in its order.
var capabilityNames = []string{
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
	"LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
	"SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
	"SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
	"MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
	"CHECKPOINT_RESTORE",
}

func (c *checker) capabilities(names []string, field string) {
	for i, name := range names {
		if name == "ALL" || slices.Contains(capabilityNames, name) {
			continue
		}
		err := c.bad(fmt.Sprintf("%s[%d]", field, i), "%q is not a Linux capability; use names such as NET_ADMIN, without CAP_, or ALL", clip(name))
		bare := strings.TrimPrefix(strings.ToUpper(name), "CAP_")
		if near := Nearest(bare, capabilityNames); near != "" {
			_ = err.WithNext("did you mean %q?", near)
		}
	}
}
