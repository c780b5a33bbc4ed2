package api

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// maxSeconds bounds spans of time; 68 years are enough, and a time.Duration holds them.
const maxSeconds = 1<<31 - 1

// maxMistakes is how many are told at once.
const maxMistakes = 20

// checker collects the mistakes of a request, the first maxMistakes of them.
type checker struct{ mistakes []*Error }

func (c *checker) bad(field, format string, args ...any) *Error {
	e := FieldError(field, format, args...)
	if len(c.mistakes) < maxMistakes {
		c.mistakes = append(c.mistakes, e)
	}
	return e
}

// check adds a mistake unless ok.
func (c *checker) check(ok bool, field, format string, args ...any) {
	if !ok {
		c.bad(field, format, args...)
	}
}

// between checks a number's range.
func (c *checker) between(n, low, high int64, field string) {
	c.check(low <= n && n <= high, field, "must be %d to %d, not %d", low, high, n)
}

// unique checks that a list names nothing twice; seen is kept by the caller.
func (c *checker) unique(seen map[string]bool, name, field string) {
	c.check(name == "" || !seen[name], field, "%q is used twice", clip(name))
	seen[name] = true
}

// noNUL checks text that is handed to the kernel.
func (c *checker) noNUL(s, field string) {
	c.check(!strings.ContainsRune(s, 0), field, "must not contain a NUL character")
}

// oneOf checks an enumeration.
func oneOf[T ~string](c *checker, value T, field string, allowed ...T) {
	if slices.Contains(allowed, value) {
		return
	}
	words := make([]string, len(allowed))
	for i, word := range allowed {
		words[i] = string(word)
	}
	err := c.bad(field, "must be one of %s, not %q", strings.Join(words, ", "), clip(string(value)))
	if near := Nearest(string(value), words); near != "" {
		_ = err.WithNext("did you mean %q?", near)
	}
}

// Validate checks a spec that has its defaults. It returns nil or an *Error of
// code Invalid with the path of the wrong field; several are in its Errors.
func (s *InstanceSpec) Validate(d Defaults) error {
	var c checker
	c.spec(s, d)
	return Join(c.mistakes)
}

// Validate checks the spec and what comes with it, like InstanceSpec.Validate.
func (r *CreateInstance) Validate(d Defaults) error {
	var c checker
	c.spec(&r.InstanceSpec, d)
	c.check(len(r.ClientToken) <= 64 && isPrintable(r.ClientToken), "clientToken", "must be at most 64 printable ASCII characters")
	if r.RegistryAuth != nil {
		c.registryAuth(r.RegistryAuth, "registryAuth")
	}
	return Join(c.mistakes)
}

func (c *checker) spec(s *InstanceSpec, d Defaults) {
	c.identity(s)
	c.size(s, d)
	oneOf(c, s.RestartPolicy, "restartPolicy", RestartNever, RestartOnFailure, RestartAlways)
	oneOf(c, s.Isolation, "isolation", IsolationAuto, IsolationVM, IsolationGVisor)
	c.times(s)
	for i, name := range s.ImagePullSecrets {
		c.check(isDNSSubdomain(name), fmt.Sprintf("imagePullSecrets[%d]", i), dnsSubdomainRule)
	}
	c.network(&s.Network)
	c.dns(s.DNSPolicy, s.DNSConfig)
	c.hostAliases(s.HostAliases)
	c.instanceSecurity(s.SecurityContext)
	c.sysctls(s)
	volumes := c.volumes(s)
	c.containers(s, d, volumes)
}

func (c *checker) identity(s *InstanceSpec) {
	c.check(s.Name == "" || isDNSLabel(s.Name), "name", dnsLabelRule)
	c.check(!looksLikeID(s.Name), "name", "must not look like an instance ID (i- and hexadecimal digits)")
	c.hostname(s)
	c.labels(s.Labels)
}

func (c *checker) labels(labels map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		field := fmt.Sprintf("labels[%s]", clip(key))
		c.check(isLabelKey(key), field, "the key "+labelKeyRule)
		c.check(isLabelValue(labels[key]), field, "the value "+labelValueRule)
	}
}

func (c *checker) times(s *InstanceSpec) {
	if g := s.TerminationGracePeriodSeconds; g != nil {
		c.between(*g, 0, 3600, "terminationGracePeriodSeconds")
	}
	if t := s.ActiveDeadlineSeconds; t != nil {
		c.between(*t, 1, maxSeconds, "activeDeadlineSeconds")
	}
	if t := s.TTLSecondsAfterFinished; t != nil {
		c.between(*t, 0, maxSeconds, "ttlSecondsAfterFinished")
	}
}

func (c *checker) size(s *InstanceSpec, d Defaults) {
	if s.Size != "" {
		c.namedSize(s, d)
	} else {
		c.anySize(s, d)
	}
	c.check(s.EphemeralStorage >= MiB, "ephemeralStorage", "must be at least 1Mi, not %s", s.EphemeralStorage)
	c.check(d.MaxEphemeralStorage == 0 || s.EphemeralStorage <= d.MaxEphemeralStorage,
		"ephemeralStorage", "must be at most %s here, not %s", d.MaxEphemeralStorage, s.EphemeralStorage)
}

func (c *checker) namedSize(s *InstanceSpec, d Defaults) {
	named, ok := d.size(s.Size)
	if !ok {
		names := make([]string, len(d.Sizes))
		for i, size := range d.Sizes {
			names[i] = size.Name
		}
		if len(names) == 0 {
			c.bad("size", "no named sizes are offered here; give cpu and memory")
			return
		}
		oneOf(c, s.Size, "size", names...)
		return
	}
	c.check(s.CPU == named.CPU, "cpu", "excludes size, which says %s cores already", named.CPU)
	c.check(s.Memory == named.Memory, "memory", "excludes size, which says %s already", named.Memory)
}

func (c *checker) anySize(s *InstanceSpec, d Defaults) {
	c.check(s.CPU >= MinCPU && s.CPU%CPUStep == 0, "cpu",
		"must be a multiple of %s cores from %s, not %s", CPUStep, MinCPU, s.CPU)
	c.check(s.Memory >= MinMemory && s.Memory%MemoryStep == 0, "memory",
		"must be a multiple of %s from %s, not %s", MemoryStep, MinMemory, s.Memory)
	c.check(d.MaxCPU == 0 || s.CPU <= d.MaxCPU, "cpu", "must be at most the host's %s cores, not %s", d.MaxCPU, s.CPU)
	c.check(d.MaxMemory == 0 || s.Memory <= d.MaxMemory, "memory", "must be at most the host's %s, not %s", d.MaxMemory, s.Memory)
	if !d.SizesOnly || s.CPU == d.Size.CPU && s.Memory == d.Size.Memory {
		return
	}
	var offered []string
	for _, size := range d.Sizes {
		if size.CPU == s.CPU && size.Memory == s.Memory {
			return
		}
		offered = append(offered, fmt.Sprintf("%s (%s cores, %s)", size.Name, size.CPU, size.Memory))
	}
	c.bad("size", "only the operator's sizes are offered here: %s", strings.Join(offered, ", "))
}

func isPrintable(s string) bool {
	return each(s, func(c byte) bool { return ' ' <= c && c <= '~' })
}
