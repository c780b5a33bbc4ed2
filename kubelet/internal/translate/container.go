package translate

import (
	"fmt"
	"net/netip"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"cis/api"
)

func (t *translation) containers(containers []corev1.Container, field string) (out []api.Container) {
	for i := range containers {
		out = append(out, t.container(&containers[i], fmt.Sprintf("%s[%d]", field, i)))
	}
	return out
}

func (t *translation) container(c *corev1.Container, field string) api.Container {
	env := t.environment(c, field)
	command, args := expandAll(c.Command, env.lookup), expandAll(c.Args, env.lookup)
	x := textsOf(command, args, env)
	out := api.Container{
		Name: c.Name, Image: c.Image, ImagePullPolicy: api.PullPolicy(c.ImagePullPolicy),
		Command: x.words(command), Args: x.words(args), Env: x.env(env.vars), ExpandFields: x.expand,
		WorkingDir: c.WorkingDir, TTY: c.TTY, Stdin: c.Stdin, StdinOnce: c.StdinOnce,
		Resources: api.Resources{Limits: limitsOf(c)},
		Ports:     t.ports(c.Ports, field+".ports"),

		TerminationMessagePath: messagePath(c), TerminationMessagePolicy: api.TerminationMessagePolicy(c.TerminationMessagePolicy),
	}
	if c.RestartPolicy != nil {
		out.RestartPolicy = api.RestartPolicy(*c.RestartPolicy)
	}
	out.RestartPolicyRules = t.restartRules(c.RestartPolicyRules, field+".restartPolicyRules")
	t.security(c, &out, field+".securityContext")
	for i, m := range c.VolumeMounts {
		out.VolumeMounts = append(out.VolumeMounts, t.mount(m, env, fmt.Sprintf("%s.volumeMounts[%d]", field, i)))
	}
	out.StartupProbe = t.probe(c, c.StartupProbe, field+".startupProbe")
	out.LivenessProbe = t.probe(c, c.LivenessProbe, field+".livenessProbe")
	out.ReadinessProbe = t.probe(c, c.ReadinessProbe, field+".readinessProbe")
	if l := c.Lifecycle; l != nil {
		out.Lifecycle = &api.Lifecycle{
			PostStart: t.hook(c, l.PostStart, field+".lifecycle.postStart"),
			PreStop:   t.hook(c, l.PreStop, field+".lifecycle.preStop"),
		}
		if l.StopSignal != nil {
			out.Lifecycle.StopSignal = string(*l.StopSignal)
		}
	}
	return out
}

func (t *translation) restartRules(rules []corev1.ContainerRestartRule, field string) (out []api.ContainerRestartRule) {
	for i, r := range rules {
		if r.Action != corev1.ContainerRestartRuleActionRestart {
			t.problems.refuse(fmt.Sprintf("%s[%d].action", field, i), "only Restart is accepted")
			continue
		}
		rule := api.ContainerRestartRule{Action: api.ActionRestart}
		if e := r.ExitCodes; e != nil {
			rule.ExitCodes = &api.RestartRuleExitCodes{Operator: api.RestartRuleOperator(e.Operator)}
			for _, code := range e.Values {
				rule.ExitCodes.Values = append(rule.ExitCodes.Values, int(code))
			}
		}
		out = append(out, rule)
	}
	return out
}

// messagePath is in the form that /v1 wants.
func messagePath(c *corev1.Container) string {
	if c.TerminationMessagePath == "" {
		return ""
	}
	return cleanMount(c.TerminationMessagePath)
}

func (t *translation) probe(c *corev1.Container, p *corev1.Probe, field string) *api.Probe {
	if p == nil {
		return nil
	}
	h := t.handler(c, p.Exec, p.HTTPGet, p.TCPSocket, field)
	if g := p.GRPC; g != nil {
		h.GRPC = &api.GRPCAction{Port: int(g.Port)}
		if g.Service != nil {
			h.GRPC.Service = *g.Service
		}
	}
	if grace := p.TerminationGracePeriodSeconds; grace != nil && *grace > maxGrace {
		t.problems.refuse(field+".terminationGracePeriodSeconds", "must be at most %d", maxGrace)
	}
	return &api.Probe{
		Handler:             h,
		InitialDelaySeconds: int(p.InitialDelaySeconds), PeriodSeconds: int(p.PeriodSeconds), TimeoutSeconds: int(p.TimeoutSeconds),
		SuccessThreshold: int(p.SuccessThreshold), FailureThreshold: int(p.FailureThreshold),
		TerminationGracePeriodSeconds: p.TerminationGracePeriodSeconds,
	}
}

func (t *translation) hook(c *corev1.Container, h *corev1.LifecycleHandler, field string) *api.Handler {
	if h == nil {
		return nil
	}
	if h.TCPSocket != nil {
		t.problems.refuse(field+".tcpSocket", "a kubelet only ever fails it; use exec or httpGet")
	}
	out := t.handler(c, h.Exec, h.HTTPGet, nil, field)
	if h.Sleep != nil {
		out.Sleep = &api.SleepAction{Seconds: h.Sleep.Seconds}
	}
	return &out
}

func (t *translation) handler(c *corev1.Container, exec *corev1.ExecAction, get *corev1.HTTPGetAction, tcp *corev1.TCPSocketAction, field string) (out api.Handler) {
	switch {
	case exec != nil:
		out.Exec = &api.ExecAction{Command: exec.Command}
	case get != nil:
		out.HTTPGet = &api.HTTPGetAction{Path: get.Path, Port: t.port(c, get.Port.StrVal, get.Port.IntVal, field+".httpGet.port"), Scheme: string(get.Scheme), Host: t.host(get.Host, field+".httpGet.host")}
		for _, h := range get.HTTPHeaders {
			out.HTTPGet.HTTPHeaders = append(out.HTTPGet.HTTPHeaders, api.HTTPHeader{Name: h.Name, Value: h.Value})
		}
	case tcp != nil:
		out.TCPSocket = &api.TCPSocketAction{Port: t.port(c, tcp.Port.StrVal, tcp.Port.IntVal, field+".tcpSocket.port"), Host: t.host(tcp.Host, field+".tcpSocket.host")}
	}
	return out
}

// host of a probe or hook: a name would be looked up by who asks, and that is not the
// node.
func (t *translation) host(host, field string) string {
	if _, err := netip.ParseAddr(host); host != "" && err != nil {
		t.problems.refuse(field, "only an IP address is accepted")
	}
	return host
}

// port finds a port by its number, or by the name it has in the container.
func (t *translation) port(c *corev1.Container, name string, number int32, field string) int {
	if name == "" {
		return int(number)
	}
	for _, p := range c.Ports {
		if p.Name == name {
			return int(p.ContainerPort)
		}
	}
	if n, err := strconv.Atoi(name); err == nil {
		return n
	}
	t.problems.refuse(field, "the container has no port %q", name)
	return 0
}
