package cli

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/pflag"

	"cis/api"
)

// specFlag maps one flag of run to the request that it makes. Set is called for
// each time the flag is given.
type specFlag struct {
	name, short string
	// value is the placeholder in the help text; empty for a switch.
	value string
	usage string
	set   func(s *specBuilder, value string) error
}

// specFlags is the whole mapping from the flags of run to the spec.
var specFlags = []specFlag{
	{"name", "", "NAME", "name of the instance (default: one is made up)",
		func(s *specBuilder, v string) error { return setText(&s.req.Name, v) }},
	{"label", "l", "KEY=VALUE", "label (may be repeated)", (*specBuilder).label},
	{"cpu", "", "CORES", "cpu of the instance: cores such as 0.5, or 500m",
		func(s *specBuilder, v string) (err error) { s.req.CPU, err = api.ParseCPU(v); return }},
	{"memory", "m", "BYTES", "memory of the instance, such as 256Mi or 1Gi",
		func(s *specBuilder, v string) (err error) { s.req.Memory, err = parseBytes(v); return }},
	{"size", "", "NAME", "one of the server's named sizes, instead of --cpu and --memory",
		func(s *specBuilder, v string) error { return setText(&s.req.Size, v) }},
	{"ephemeral-storage", "", "BYTES", "bound of what the program writes outside volumes, such as 1Gi",
		func(s *specBuilder, v string) (err error) { s.req.EphemeralStorage, err = parseBytes(v); return }},
	{"isolation", "", "KIND", "auto, vm or gvisor",
		func(s *specBuilder, v string) (err error) {
			s.req.Isolation, err = oneOf(v, isolations)
			return
		}},
	{"restart", "", "POLICY", "restart the program: no, on-failure or always (default no)",
		func(s *specBuilder, v string) (err error) {
			s.req.RestartPolicy, err = oneOf(v, restartPolicies)
			return
		}},
	{"rm", "", "", "remove the instance when it has ended",
		func(s *specBuilder, v string) error { return setBool(&s.req.RemoveAfter, v) }},
	{"stop-timeout", "", "SECONDS", "time from the stop signal to the kill (default 10)",
		func(s *specBuilder, v string) error { return setSeconds(&s.req.TerminationGracePeriodSeconds, v) }},
	{"deadline", "", "SECONDS", "end the instance that long after its start, such as 90 or 10m",
		func(s *specBuilder, v string) error { return setSeconds(&s.req.ActiveDeadlineSeconds, v) }},
	{"ttl", "", "SECONDS", "remove the record that long after the end, such as 90 or 24h",
		func(s *specBuilder, v string) error { return setSeconds(&s.req.TTLSecondsAfterFinished, v) }},
	{"hostname", "", "NAME", "host name inside (default: the name)",
		func(s *specBuilder, v string) error { return setText(&s.req.Hostname, v) }},

	{"entrypoint", "", "PROGRAM", "run this instead of the image's entry point; empty: none",
		func(s *specBuilder, v string) error { s.entrypoint = &v; return nil }},
	{"env", "e", "NAME=VALUE", "environment variable; NAME alone takes it from here (may be repeated)", (*specBuilder).env},
	{"env-file", "", "FILE", "file of NAME=VALUE lines (may be repeated)", (*specBuilder).envFile},
	{"workdir", "w", "PATH", "working directory",
		func(s *specBuilder, v string) error { return setText(&s.container.WorkingDir, v) }},
	{"user", "u", "USER[:GROUP]", "name or number to run as",
		func(s *specBuilder, v string) error { return setText(&s.container.User, v) }},
	{"interactive", "i", "", "send standard input to the program",
		func(s *specBuilder, v string) error { return setBool(&s.container.Stdin, v) }},
	{"tty", "t", "", "give the program a terminal",
		func(s *specBuilder, v string) error { return setBool(&s.container.TTY, v) }},
	{"cap-add", "", "CAP", "add a Linux capability, such as NET_ADMIN (may be repeated)",
		func(s *specBuilder, v string) error { return appendCap(&s.capabilities().Add, v) }},
	{"cap-drop", "", "CAP", "drop a Linux capability, or ALL (may be repeated)",
		func(s *specBuilder, v string) error { return appendCap(&s.capabilities().Drop, v) }},
	{"read-only", "", "", "make the image's files unwritable",
		func(s *specBuilder, v string) error {
			return setBool(&s.securityContext().ReadOnlyRootFilesystem, v)
		}},
	{"security-opt", "", "OPTION", "no-new-privileges: what the program executes gets no more privileges than it has", (*specBuilder).securityOption},

	{"tmpfs", "", "PATH[:SIZE]", "empty directory in memory (may be repeated)", (*specBuilder).tmpfs},
	{"mount", "", "SPEC", "type=emptyDir,dst=PATH[,size=BYTES][,medium=Memory][,readonly] or type=secret,src=NAME,dst=PATH (may be repeated)", (*specBuilder).mount},
	{"disk", "", "NAME:PATH[:ro]", "disk to have at a path (may be repeated); 'cis disk' makes them", (*specBuilder).disk},
	{"nfs", "", "SERVER:/DIR:PATH[:ro]", "directory of an NFS server to have at a path, with --isolation vm (may be repeated)", (*specBuilder).nfs},
	{"file", "", "LOCAL:PATH", "put a small local file there; its directory holds only such files (may be repeated)", (*specBuilder).file},

	{"vpc", "", "NAME", "VPC to be in (default: that of --subnet, else the default one)",
		func(s *specBuilder, v string) error { return setText(&s.req.Network.VPC, v) }},
	{"subnet", "", "NAME", "subnet of the VPC (default: its only one)",
		func(s *specBuilder, v string) error { return setText(&s.req.Network.Subnet, v) }},
	{"secgroup", "", "NAME", "security group (may be repeated; default: the default one)",
		func(s *specBuilder, v string) error {
			s.req.Network.SecurityGroups = append(s.req.Network.SecurityGroups, v)
			return nil
		}},
	{"ip", "", "ADDRESS", "fixed private address of the subnet",
		func(s *specBuilder, v string) error { return setText(&s.req.Network.Address, v) }},
	{"public-address", "", "NAME", "public address to bind; auto: one that comes and goes with the instance",
		func(s *specBuilder, v string) error { return setText(&s.req.Network.PublicAddress, v) }},
	{"publish", "p", "[[HOST:]HOSTPORT:]PORT[/udp]", "port of the host that leads to a port of the instance; without HOSTPORT a free one (may be repeated)", (*specBuilder).publish},
	{"bandwidth-in", "", "BITS", "limit of the traffic to the instance, such as 100M, in bits per second",
		func(s *specBuilder, v string) (err error) {
			s.req.Network.Bandwidth.In, err = api.ParseBitRate(v)
			return
		}},
	{"bandwidth-out", "", "BITS", "limit of the traffic from the instance",
		func(s *specBuilder, v string) (err error) {
			s.req.Network.Bandwidth.Out, err = api.ParseBitRate(v)
			return
		}},
	{"dns", "", "ADDRESS", "name server beside the VPC's (may be repeated)",
		func(s *specBuilder, v string) error {
			s.dns().Nameservers = append(s.dns().Nameservers, v)
			return nil
		}},
	{"dns-search", "", "DOMAIN", "domain to search beside the VPC's (may be repeated)",
		func(s *specBuilder, v string) error { s.dns().Searches = append(s.dns().Searches, v); return nil }},

	{"pull", "", "POLICY", "fetch the image: always, missing or never (default: always for :latest, else missing)",
		func(s *specBuilder, v string) (err error) {
			s.container.ImagePullPolicy, err = oneOf(v, pullPolicies)
			return
		}},
	{"registry-auth", "", "USER:PASSWORD", "log in to the image's registry; @FILE reads it from a file",
		func(s *specBuilder, v string) (err error) { s.req.RegistryAuth, err = parseRegistryAuth(v); return }},
	{"pull-secret", "", "NAME", "secret with registry credentials (may be repeated)",
		func(s *specBuilder, v string) error {
			s.req.ImagePullSecrets = append(s.req.ImagePullSecrets, v)
			return nil
		}},
}

// choice is a word of a flag and what it stands for.
type choice[T any] struct {
	word string
	is   T
}

var restartPolicies = []choice[api.RestartPolicy]{
	{"no", api.RestartNever}, {"on-failure", api.RestartOnFailure}, {"always", api.RestartAlways},
	{"Never", api.RestartNever}, {"OnFailure", api.RestartOnFailure}, {"Always", api.RestartAlways},
}

var pullPolicies = []choice[api.PullPolicy]{
	{"always", api.PullAlways}, {"missing", api.PullIfNotPresent}, {"never", api.PullNever},
	{"Always", api.PullAlways}, {"IfNotPresent", api.PullIfNotPresent}, {"Never", api.PullNever},
}

// pullWords are those of pullPolicies to name.
func pullWords() []string {
	return mapText(pullPolicies[:3], func(c choice[api.PullPolicy]) string { return c.word })
}

var isolations = []choice[api.Isolation]{
	{"auto", api.IsolationAuto}, {"vm", api.IsolationVM}, {"gvisor", api.IsolationGVisor},
}

// oneOf finds a word's meaning. The first three words are the ones to name.
func oneOf[T any](v string, choices []choice[T]) (T, error) {
	for _, c := range choices {
		if c.word == v {
			return c.is, nil
		}
	}
	var none T
	return none, fmt.Errorf("%q is not known: use %s, %s or %s", v, choices[0].word, choices[1].word, choices[2].word)
}

// specBuilder collects the flags of one run.
type specBuilder struct {
	getenv     func(string) string
	req        api.CreateInstance
	container  api.Container
	entrypoint *string
}

// addSpecFlags gives a command the flags of specFlags.
func addSpecFlags(flags *pflag.FlagSet, s *specBuilder) {
	for _, f := range specFlags {
		flag := flags.VarPF(&specValue{s, f, ""}, f.name, f.short, f.usage)
		if f.value == "" {
			flag.NoOptDefVal = "true"
		}
	}
}

// specValue is one row of specFlags as pflag sees it.
type specValue struct {
	builder *specBuilder
	flag    specFlag
	last    string
}

func (v *specValue) Set(s string) error {
	v.last = s
	return v.flag.set(v.builder, s)
}

func (v *specValue) String() string {
	if v.flag.value == "" && v.last == "" {
		return "false"
	}
	return v.last
}

func (v *specValue) Type() string {
	if v.flag.value == "" {
		return "bool"
	}
	return v.flag.value
}

// build puts the image and its arguments to what the flags said.
func (s *specBuilder) build(image string, args []string, detached bool) api.CreateInstance {
	c := s.container
	c.Image = image
	c.Args = args
	if s.entrypoint != nil {
		// As with docker: another entry point leaves the image's arguments out.
		// An empty one leaves the arguments alone to be the command.
		c.Command, c.Args = []string{*s.entrypoint}, args
		if *s.entrypoint == "" {
			c.Command, c.Args = args, nil
		}
	}
	// Without a terminal nobody can come back to the input: its end is the program's.
	c.StdinOnce = c.Stdin && !c.TTY && !detached
	req := s.req
	req.Containers = []api.Container{c}
	return req
}

func (s *specBuilder) dns() *api.DNSConfig {
	if s.req.DNSConfig == nil {
		s.req.DNSConfig = &api.DNSConfig{}
	}
	return s.req.DNSConfig
}

func (s *specBuilder) securityContext() *api.SecurityContext {
	if s.container.SecurityContext == nil {
		s.container.SecurityContext = &api.SecurityContext{}
	}
	return s.container.SecurityContext
}

// securityOption takes docker's word for the one option there is.
func (s *specBuilder) securityOption(v string) error {
	switch v {
	case "no-new-privileges", "no-new-privileges=true", "no-new-privileges:true":
		s.securityContext().AllowPrivilegeEscalation = new(false)
		return nil
	}
	return fmt.Errorf("%q is not known: the only option is no-new-privileges", v)
}

func (s *specBuilder) capabilities() *api.Capabilities {
	sc := s.securityContext()
	if sc.Capabilities == nil {
		sc.Capabilities = &api.Capabilities{}
	}
	return sc.Capabilities
}

func setText(field *string, v string) error {
	if v == "" {
		return errors.New("it must not be empty")
	}
	*field = v
	return nil
}

func setBool(field *bool, v string) error {
	b, err := strconv.ParseBool(v)
	if err != nil {
		return fmt.Errorf("%q is not true or false", v)
	}
	*field = b
	return nil
}

func setSeconds(field **int64, v string) error {
	n, err := parseSeconds(v)
	if err == nil {
		*field = &n
	}
	return err
}
