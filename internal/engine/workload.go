package engine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/image"
	"cis/internal/network"
	"cis/internal/store"
)

// workload resolves the spec against images, into all that the agent must know beside
// the files of secrets.
func (l *life) workload(rec store.Instance) (*agentpb.Workload, error) {
	spec := rec.Spec
	volumes, err := l.volumes(rec.Instance)
	if err != nil {
		return nil, err
	}
	w := &agentpb.Workload{
		ID: fmt.Sprintf("%s/%d", rec.ID, rec.Run.Number), Hostname: spec.NodeName(), Names: hostNames(spec), Address: rec.Status.Address,
		Address6: rec.Status.Address6, HostAliases: spec.HostAliases,
		Volumes: volumes, RestartPolicy: spec.RestartPolicy, EphemeralStorage: spec.EphemeralStorage, Pids: l.e.cfg.Limits.Pids, Memory: spec.Memory,
		ShareProcesses: spec.ShareProcessNamespace,
		GracePeriod:    time.Duration(*spec.TerminationGracePeriodSeconds) * time.Second,
	}
	resolve(w, spec, l.e.networks.vpcOf(l.id))
	if sc := spec.SecurityContext; sc != nil {
		w.Sysctls = sc.Sysctls
	}
	if spec.ActiveDeadlineSeconds != nil {
		began := l.arrived
		if rec.Status.StartedAt != nil {
			began = *rec.Status.StartedAt
		}
		w.Deadline = began.Add(time.Duration(*spec.ActiveDeadlineSeconds) * time.Second)
	}
	for _, c := range spec.InitContainers {
		out, err := l.container(rec, c)
		if err != nil {
			return nil, err
		}
		w.InitContainers = append(w.InitContainers, out)
	}
	for _, c := range spec.Containers {
		out, err := l.container(rec, c)
		if err != nil {
			return nil, err
		}
		w.Containers = append(w.Containers, out)
	}
	return w, nil
}

// hostNames are those of the instance's addresses in /etc/hosts, the full one first.
func hostNames(spec api.InstanceSpec) []string {
	if full := spec.FQDN(); full != "" {
		return []string{full, spec.Hostname}
	}
	return []string{spec.Hostname}
}

// resolve says what /etc/resolv.conf shall be.
func resolve(w *agentpb.Workload, spec api.InstanceSpec, v api.VPC) {
	if spec.DNSPolicy != api.DNSNone {
		w.Nameservers, w.Searches = []string{network.Gateway.String()}, []string{domainOf(v.Name)}
	}
	if d := spec.DNSConfig; d != nil {
		w.Nameservers = append(w.Nameservers, d.Nameservers...)
		w.Searches = append(w.Searches, d.Searches...)
		for _, o := range d.Options {
			text := o.Name
			if o.Value != "" {
				text += ":" + o.Value
			}
			w.ResolverOptions = append(w.ResolverOptions, text)
		}
	}
}

func (l *life) container(rec store.Instance, c api.Container) (agentpb.Container, error) {
	im := l.leases[c.Name].Image
	user, err := im.User(c.User)
	if err != nil {
		return agentpb.Container{}, fmt.Errorf("container %s: %w", c.Name, err)
	}
	args, err := command(rec, c, im)
	if err != nil {
		return agentpb.Container{}, err
	}
	stop, err := stopSignal(c, im)
	if err != nil {
		return agentpb.Container{}, fmt.Errorf("container %s: %w", c.Name, err)
	}
	out := agentpb.Container{
		Name: c.Name, Rootfs: im.Rootfs, Args: args, Env: environment(rec, c, im, user), Cwd: cwd(c, im),
		UID: user.UID, GID: user.GID, Groups: user.AdditionalGIDs, TTY: c.TTY, Stdin: c.Stdin, StdinOnce: c.StdinOnce,
		StopSignal: stop, StartupProbe: c.StartupProbe, LivenessProbe: c.LivenessProbe, ReadinessProbe: c.ReadinessProbe,
		Lifecycle: c.Lifecycle, Capabilities: capabilities(nil), RestartPolicy: c.RestartPolicy, RestartRules: c.RestartPolicyRules,
		MessagePath: c.TerminationMessagePath, MessageFromLogs: c.TerminationMessagePolicy == api.MessageFallbackToLogs,
	}
	if s := c.SecurityContext; s != nil && s.SupplementalGroupsPolicy == api.GroupsStrict {
		out.Groups = nil
	}
	if group := fsGroup(rec.Spec); group != nil {
		out.Groups = append(slices.Clone(out.Groups), *group)
	}
	if s := c.SecurityContext; s != nil {
		out.ReadOnly, out.Capabilities = s.ReadOnlyRootFilesystem, capabilities(s.Capabilities)
		out.Unconfined = s.SeccompProfile != nil && s.SeccompProfile.Type == api.SeccompUnconfined
		out.NoNewPrivileges = s.AllowPrivilegeEscalation != nil && !*s.AllowPrivilegeEscalation
		for _, group := range s.SupplementalGroups {
			out.Groups = append(out.Groups, uint32(group))
		}
		if s.RunAsNonRoot && user.UID == 0 {
			return out, api.Errorf(api.Invalid, "container %s: its user is root, which securityContext.runAsNonRoot rules out", c.Name).
				WithNext("set user, or take an image with another USER")
		}
	}
	out.Mounts = mounts(c.VolumeMounts)
	if s := status(rec, c.Name); s != nil {
		out.RestartCount, out.LastState = s.RestartCount, s.LastState
	}
	return out, nil
}

// mounts are in the order in which they are made.
func mounts(spec []api.VolumeMount) (out []agentpb.Mount) {
	for _, m := range spec {
		out = append(out, agentpb.Mount{Volume: m.Name, SubPath: m.SubPath, Path: m.MountPath, ReadOnly: m.ReadOnly})
	}
	depth := func(m agentpb.Mount) int { return strings.Count(m.Path, "/") }
	slices.SortStableFunc(out, func(a, b agentpb.Mount) int { return depth(a) - depth(b) })
	return out
}

// command joins the spec's and the image's, as Kubernetes does: a command in the
// spec drops the image's arguments too.
func command(rec store.Instance, c api.Container, im image.Image) ([]string, error) {
	entry, args := slices.Clone(c.Command), slices.Clone(c.Args)
	for _, words := range [][]string{entry, args} {
		for i, word := range words {
			words[i] = expand(rec, c, word)
		}
	}
	if len(entry) == 0 {
		entry = im.Config.Entrypoint
		if len(args) == 0 {
			args = im.Config.Cmd
		}
	}
	all := append(slices.Clone(entry), args...)
	if len(all) == 0 {
		return nil, api.Errorf(api.Invalid, "container %s: image %s names no command, and neither does the spec", c.Name, c.Image).
			WithNext("give one: `cis run %s COMMAND`", c.Image)
	}
	return all, nil
}

// defaultPath is what docker gives to images that set none.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment joins defaults, the image's and the spec's variables; later ones win.
func environment(rec store.Instance, c api.Container, im image.Image, user image.User) []string {
	env := []string{"PATH=" + defaultPath, "HOSTNAME=" + rec.Spec.NodeName(), "HOME=" + user.Home}
	if c.TTY {
		env = append(env, "TERM=xterm")
	}
	env = append(env, im.Config.Env...)
	for _, v := range c.Env {
		env = append(env, v.Name+"="+valueOf(rec, c, v))
	}
	last := map[string]int{}
	for i, v := range env {
		name, _, _ := strings.Cut(v, "=")
		last[name] = i
	}
	out := env[:0]
	for i, v := range env {
		name, _, _ := strings.Cut(v, "=")
		if last[name] == i {
			out = append(out, v)
		}
	}
	return out
}

// valueOf reads fields of the instance, which has its address by now.
func valueOf(rec store.Instance, c api.Container, v api.EnvVar) string {
	switch {
	case v.ValueFrom == nil:
		return expand(rec, c, v.Value)
	case v.ValueFrom.FieldRef.FieldPath == api.FieldAddress6:
		return rec.Status.Address6
	}
	return rec.Status.Address
}

// expand puts fields of the instance into a text, where the container asks for that.
func expand(rec store.Instance, c api.Container, text string) string {
	if !c.ExpandFields {
		return text
	}
	return strings.NewReplacer("$$", "$", reference(api.FieldAddress), rec.Status.Address, reference(api.FieldAddress6), rec.Status.Address6).Replace(text)
}

func reference(field string) string { return "$(" + field + ")" }

func cwd(c api.Container, im image.Image) string {
	switch {
	case c.WorkingDir != "":
		return c.WorkingDir
	case im.Config.WorkingDir != "":
		return im.Config.WorkingDir
	}
	return "/"
}

// stopSignal is the container's, else the image's.
func stopSignal(c api.Container, im image.Image) (int, error) {
	name := cmp.Or(im.Config.StopSignal, "SIGTERM")
	if l := c.Lifecycle; l != nil && l.StopSignal != "" {
		name = l.StopSignal
	}
	n, ok := api.SignalNumber(name)
	if !ok {
		return 0, api.Errorf(api.Invalid, "the image's stop signal %q is none", name)
	}
	return n, nil
}

// defaultCapabilities are docker's (moby, oci/caps/defaults.go).
var defaultCapabilities = []string{"CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID",
	"SETFCAP", "SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE"}

// capabilities applies a spec's changes to the default set.
func capabilities(c *api.Capabilities) []string {
	set := map[string]bool{}
	for _, name := range defaultCapabilities {
		set["CAP_"+name] = true
	}
	if c != nil {
		apply := func(names []string, on bool) {
			for _, name := range names {
				if name = strings.ToUpper(name); name == "ALL" {
					for _, all := range api.AllCapabilities() {
						set["CAP_"+all] = on
					}
					continue
				}
				set["CAP_"+strings.TrimPrefix(name, "CAP_")] = on
			}
		}
		// As docker: with "drop ALL" first, so that added ones stay.
		apply(c.Drop, false)
		apply(c.Add, true)
	}
	var out []string
	for name, on := range set {
		if on {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
