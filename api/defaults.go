package api

// The fixed defaults of a spec.
const (
	DefaultEphemeralStorage = 10 * GiB
	DefaultGraceSeconds     = 10
)

// The steps and least amounts of an instance's size.
const (
	CPUStep    CPU   = 50
	MinCPU     CPU   = 50
	MemoryStep Bytes = MiB
	MinMemory  Bytes = 32 * MiB
)

// Defaults is what the operator offers: the size taken when none is asked for,
// the series of named sizes, and the bounds. Zero members take the values that
// their comments give.
type Defaults struct {
	// Size where a spec says nothing. Default 0.5 cores and 256 MiB.
	Size Size
	// Sizes that specs may name.
	Sizes []Size
	// SizesOnly refuses amounts of cpu and memory that no size of Sizes has.
	SizesOnly bool
	// MaxCPU and MaxMemory bound one instance: what the host has. Zero: no bound.
	MaxCPU    CPU
	MaxMemory Bytes
	// MaxEphemeralStorage bounds it for each container. Zero: no bound.
	MaxEphemeralStorage Bytes
	// MaxContainers bounds containers and init containers together. Default 32.
	MaxContainers int
}

func (d Defaults) maxContainers() int {
	if d.MaxContainers == 0 {
		return 32
	}
	return d.MaxContainers
}

// size finds a named size.
func (d Defaults) size(name string) (Size, bool) {
	for _, s := range d.Sizes {
		if s.Name == name {
			return s, true
		}
	}
	return Size{}, false
}

// Default fills in what the spec leaves out, as its comments say. It makes up no
// name; a spec without one gets its name and hostname from the engine. It can be
// called again on its own result.
func (s *InstanceSpec) Default(d Defaults) {
	setDefault(&s.RestartPolicy, RestartNever)
	setDefault(&s.Isolation, IsolationAuto)
	if s.Isolation == IsolationAuto && s.setsKernel() {
		s.Isolation = IsolationVM
	}
	setDefault(&s.Hostname, s.Name)
	setDefault(&s.EphemeralStorage, DefaultEphemeralStorage)
	if s.TerminationGracePeriodSeconds == nil {
		s.TerminationGracePeriodSeconds = new(int64(DefaultGraceSeconds))
	}
	s.defaultSize(d)
	s.Network.setDefaults()
	setDefault(&s.DNSPolicy, DNSDefault)
	if len(s.Containers) == 1 {
		setDefault(&s.Containers[0].Name, "main")
	}
	for i := range s.Containers {
		s.Containers[i].setDefaults()
	}
	for i := range s.InitContainers {
		s.InitContainers[i].setDefaults()
	}
	for i := range s.Volumes {
		s.Volumes[i].setDefaults(s)
	}
}

// setDefault sets *p if it is zero.
func setDefault[T comparable](p *T, value T) {
	var zero T
	if *p == zero {
		*p = value
	}
}

// defaultSize takes the named size, else what the containers' limits come to,
// else the operator's default. A size together with cpu or memory is left for
// Validate to compare.
func (s *InstanceSpec) defaultSize(d Defaults) {
	if named, ok := d.size(s.Size); ok {
		setDefault(&s.CPU, named.CPU)
		setDefault(&s.Memory, named.Memory)
		return
	}
	if s.Size != "" {
		return
	}
	largest, sum := limitsOfInit(s.InitContainers)
	for _, c := range s.Containers {
		sum = sum.plus(c.Resources.Limits)
	}
	setDefault(&s.CPU, atLeast(roundUp(max(sum.CPU, largest.CPU), CPUStep), MinCPU))
	setDefault(&s.Memory, atLeast(roundUp(max(sum.Memory, largest.Memory), MemoryStep), MinMemory))
	setDefault(&s.CPU, d.Size.CPU)
	setDefault(&s.Memory, d.Size.Memory)
	setDefault(&s.CPU, 500)
	setDefault(&s.Memory, 256*MiB)
}

// plus adds up containers, which run together. Sums that no host could have are cut
// off, so that they cannot overflow.
func (l ResourceList) plus(more ResourceList) ResourceList {
	l.CPU = min(l.CPU+more.CPU, 1<<40)
	if l.Memory += more.Memory; l.Memory < 0 {
		l.Memory = 1 << 62
	}
	return l
}

// roundUp gives the next multiple of step; amounts too large for that stay.
func roundUp[T CPU | Bytes](amount, step T) T {
	if rest := amount % step; rest != 0 && amount < 1<<62 {
		return amount - rest + step
	}
	return amount
}

// atLeast raises an amount, but leaves zero, which means none given.
func atLeast[T CPU | Bytes](amount, least T) T {
	if amount == 0 {
		return 0
	}
	return max(amount, least)
}

func (c *Container) setDefaults() {
	if hasLatestTag(c.Image) {
		setDefault(&c.ImagePullPolicy, PullAlways)
	}
	setDefault(&c.ImagePullPolicy, PullIfNotPresent)
	for i := range c.Ports {
		setDefault(&c.Ports[i].Protocol, "TCP")
	}
	for _, probe := range []*Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
		if probe != nil {
			probe.setDefaults()
		}
	}
	if c.Lifecycle != nil {
		c.Lifecycle.PostStart.setDefaults()
		c.Lifecycle.PreStop.setDefaults()
	}
}

func (p *Probe) setDefaults() {
	setDefault(&p.PeriodSeconds, 10)
	setDefault(&p.TimeoutSeconds, 1)
	setDefault(&p.SuccessThreshold, 1)
	setDefault(&p.FailureThreshold, 3)
	p.Handler.setDefaults()
}

func (h *Handler) setDefaults() {
	if h != nil && h.HTTPGet != nil {
		setDefault(&h.HTTPGet.Path, "/")
		setDefault(&h.HTTPGet.Scheme, "HTTP")
	}
}

func (v *Volume) setDefaults(s *InstanceSpec) {
	if v.EmptyDir != nil {
		limit := s.EphemeralStorage
		if v.EmptyDir.Medium == "Memory" {
			limit = s.Memory / 2
		}
		setDefault(&v.EmptyDir.SizeLimit, limit)
	}
	if v.Files != nil {
		for i := range v.Files.Items {
			setDefault(&v.Files.Items[i].Mode, "0644")
		}
	}
	if p := v.Projected; p != nil {
		setDefault(&p.DefaultMode, "0400")
		for _, source := range p.Sources {
			if source.Secret != nil {
				setModes(source.Secret.Items, p.DefaultMode)
			}
		}
	}
	if v.Secret != nil {
		setDefault(&v.Secret.DefaultMode, "0400")
		setModes(v.Secret.Items, v.Secret.DefaultMode)
	}
}

func setModes(items []KeyToPath, mode string) {
	for i := range items {
		setDefault(&items[i].Mode, mode)
	}
}

// Default fills in what the request leaves out.
func (p *ImagePull) Default() { setDefault(&p.Policy, PullAlways) }

// Default fills in what the secret leaves out.
func (s *Secret) Default() { setDefault(&s.Type, SecretOpaque) }
