package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"cis/api"
	"cis/internal/engine"
)

// config is what the command line says.
type config struct {
	dataDir, runDir string
	prefix          string
	socket          string
	// https listens beside the socket when set.
	https, tlsCert, tlsKey string
	cloudAPI               cloudAPI

	// sealingKey is the file of the key that seals secrets; rateLimit is per key and operation.
	sealingKey string
	rateLimit  int

	vpcCIDR, links  netip.Prefix
	publicAddresses prefixes
	upstreams       list

	insecureRegistries list
	registryCA         string
	registryCAs        list
	dockerConfig       string
	imagesMaxSize      api.Bytes

	cpuOvercommit float64
	reserved      api.Bytes
	sizes         sizes
	anySize       bool
	defaultSize   api.Size
	pids          int64
	standby       engine.StandbyConfig

	// isolation is what auto means for instances; itself auto: the best that works.
	isolation api.Isolation

	// prices is the file of the price list; empty: nothing has a price.
	prices string

	libexec  string
	logLevel string
	// clean removes what cisd made on the host, instead of serving.
	clean bool
}

// parseConfig reads the command line; errors name the flag.
func parseConfig(args []string) (*config, error) {
	memory, err := totalMemory()
	if err != nil {
		return nil, err
	}
	c := &config{
		vpcCIDR: netip.MustParsePrefix("10.64.0.0/16"), links: netip.MustParsePrefix("169.254.64.0/18"),
		imagesMaxSize: 20 * api.GiB, reserved: min(512*api.MiB, memory/8/api.MiB*api.MiB),
		defaultSize: api.Size{CPU: 500, Memory: 256 * api.MiB},
		standby:     engine.StandbyConfig{MaxMemory: memory / 10 / api.MiB * api.MiB, MinAvailable: memory / 20 / api.MiB * api.MiB},
	}
	fs := flag.NewFlagSet("cisd", flag.ContinueOnError)
	fs.StringVar(&c.dataDir, "data-dir", "/var/lib/cis", "directory of the record, the images and the logs")
	fs.StringVar(&c.runDir, "run-dir", "/run/cis", "directory of sockets and of what a reboot may take")
	fs.StringVar(&c.prefix, "prefix", "cis", "begins the name of every namespace, link, nftables table and cgroup made on the host")
	fs.StringVar(&c.socket, "listen", "", "unix socket of the API (default RUN-DIR/cis.sock)")
	fs.StringVar(&c.https, "https-listen", "", "address of the API over https, such as :7443; needs -tls-cert and -tls-key")
	fs.StringVar(&c.cloudAPI.listen, "cloudapi-listen", "", "address of the cloud API, such as 127.0.0.1:7480; https with -tls-cert and -tls-key, plain http on a loopback address")
	fs.StringVar(&c.cloudAPI.region, "region", "local", "name of the region that the cloud API tells of")
	fs.StringVar(&c.cloudAPI.zone, "zone", "local-1", "name of the zone that the cloud API tells of")
	fs.StringVar(&c.tlsCert, "tls-cert", "", "certificate file for https")
	fs.StringVar(&c.tlsKey, "tls-key", "", "key file for https")
	fs.StringVar(&c.sealingKey, "sealing-key", "", "file of the key that seals the secrets of keys; made if it is missing (default DATA-DIR/sealing.key)")
	fs.IntVar(&c.rateLimit, "rate-limit", 20, "requests a second that each key may make of each operation; 0: any number")
	fs.TextVar(&c.vpcCIDR, "cidr", c.vpcCIDR, "IPv4 range of the default VPC and its subnet")
	fs.Var(&c.publicAddresses, "public-addresses", "CIDR[,CIDR...]: IPv4 addresses that can be bound to instances; repeatable (default: none)")
	fs.TextVar(&c.links, "link-cidr", c.links, "IPv4 range of the links between host and networks")
	fs.Var(&c.upstreams, "dns", "DNS server for names outside, ADDRESS[:PORT]; repeatable (default: those of /etc/resolv.conf)")
	fs.Var(&c.insecureRegistries, "insecure-registry", "HOST[:PORT] of a registry that speaks http; repeatable (loopback always may)")
	fs.StringVar(&c.registryCA, "registry-ca", "", "PEM file of CAs to trust for registries beside the system's")
	fs.Var(&c.registryCAs, "registry-ca-for", "HOST[:PORT]=FILE: CAs for one registry; repeatable")
	fs.StringVar(&c.dockerConfig, "docker-config", defaultDockerConfig(), "docker's config.json with registry credentials; empty: none")
	fs.Var(bytesFlag{&c.imagesMaxSize}, "images-max-size", "size above which unused images are removed, oldest use first; 0: never")
	fs.Float64Var(&c.cpuOvercommit, "cpu-overcommit", 16, "cores that may be given out for each core of the host")
	fs.Var(bytesFlag{&c.reserved}, "memory-reserved", "memory kept for the host")
	fs.Var(&c.sizes, "size", "NAME=CPU,MEMORY of a size on offer, such as small=0.5,512Mi; repeatable")
	fs.BoolVar(&c.anySize, "any-size", true, "allow sizes that are not on offer by name")
	fs.Var(sizeFlag{&c.defaultSize}, "default-size", "CPU,MEMORY of an instance that asks for none")
	fs.Int64Var(&c.pids, "pids", 1024, "most processes and threads in one instance")
	standby := shapes{&c.standby.Shapes}
	fs.Var(standby, "standby", "COUNT or COUNT=CPU,MEMORY: sandboxes that wait ready, of the default size or of that; repeatable (default 2; 0 for none)")
	fs.Var(bytesFlag{&c.standby.MaxMemory}, "standby-max-memory", "memory that waiting sandboxes may hold in all")
	fs.StringVar((*string)(&c.isolation), "isolation", "auto", "isolation of instances that ask for none: vm, gvisor, or auto, which is vm where KVM works and else gvisor")
	fs.StringVar(&c.prices, "prices", "", "file of the price list, YAML or JSON (default: nothing has a price)")
	fs.StringVar(&c.libexec, "libexec-dir", defaultLibexec(), "directory of cis-agent, cis-pause and runsc")
	fs.StringVar(&c.logLevel, "log-level", "info", "debug, info, warn or error")
	fs.BoolVar(&c.clean, "clean", false, "remove every sandbox, network and cgroup of the prefix from the host, and end")
	fs.SetOutput(io.Discard) // main prints errors, once
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			usage(fs)
		}
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("cisd takes no arguments: %q", fs.Arg(0))
	}
	if c.socket == "" {
		c.socket = filepath.Join(c.runDir, "cis.sock")
	}
	if c.sealingKey == "" {
		c.sealingKey = filepath.Join(c.dataDir, "sealing.key")
	}
	if !isSet(fs, "standby") {
		standby.Set("2")
	}
	standby.complete(c.defaultSize)
	return c, c.check()
}

func usage(fs *flag.FlagSet) {
	fs.SetOutput(os.Stdout)
	fmt.Print("Usage: cisd [flags]\n\ncisd runs container instances on this host and serves the /v1 API.\n\n")
	fs.PrintDefaults()
}

func (c *config) check() error {
	switch {
	case !c.vpcCIDR.Addr().Is4() || c.vpcCIDR.Bits() > 28:
		return errors.New("-cidr must be an IPv4 range of /28 or larger")
	case c.https != "" && (c.tlsCert == "" || c.tlsKey == ""):
		return errors.New("-https-listen needs -tls-cert and -tls-key")
	case c.rateLimit < 0:
		return errors.New("-rate-limit must not be negative")
	case c.isolation != api.IsolationAuto && c.isolation != api.IsolationVM && c.isolation != api.IsolationGVisor:
		return errors.New("-isolation must be auto, vm or gvisor")
	case c.cpuOvercommit < 1 || c.cpuOvercommit > 1000:
		return errors.New("-cpu-overcommit must be 1 to 1000")
	case c.pids < 16 || c.pids > 32768:
		return errors.New("-pids must be 16 to 32768")
	case !c.anySize && len(c.sizes) == 0:
		return errors.New("-any-size=false needs at least one -size")
	}
	if err := c.cloudAPI.check(c.tlsCert, c.tlsKey); err != nil {
		return err
	}
	for _, s := range append([]api.Size{c.defaultSize}, c.sizes...) {
		if s.CPU < api.MinCPU || s.CPU%api.CPUStep != 0 || s.Memory < api.MinMemory || s.Memory%api.MemoryStep != 0 {
			return fmt.Errorf("size %s,%s: cpu must be a multiple of %s cores from %s, memory one of %s from %s",
				s.CPU, s.Memory, api.CPUStep, api.MinCPU, api.MemoryStep, api.MinMemory)
		}
	}
	return nil
}

// registryCAFiles are the files of -registry-ca-for by registry.
func (c *config) registryCAFiles() (map[string]string, error) {
	files := map[string]string{}
	for _, s := range c.registryCAs {
		host, file, ok := strings.Cut(s, "=")
		if !ok {
			return nil, fmt.Errorf("-registry-ca-for: %q is not HOST[:PORT]=FILE", s)
		}
		files[host] = file
	}
	return files, nil
}

// limits are what the engine counts by.
func (c *config) limits() (engine.Limits, error) {
	memory, err := totalMemory()
	return engine.Limits{CPUs: runtime.NumCPU(), Memory: memory, Reserved: c.reserved, CPUOvercommit: c.cpuOvercommit,
		DefaultSize: c.defaultSize, Sizes: c.sizes, AnySize: c.anySize, Pids: c.pids, ImagesMaxSize: c.imagesMaxSize}, err
}

func totalMemory() (api.Bytes, error) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0, fmt.Errorf("read the host's memory: %w", err)
	}
	return api.Bytes(info.Totalram) * api.Bytes(info.Unit), nil
}

// defaultLibexec is where cisd itself lies.
func defaultLibexec() string {
	exe, err := os.Executable()
	if err != nil {
		return "."
	}
	return filepath.Dir(exe)
}

func defaultDockerConfig() string {
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".docker", "config.json")
}

func isSet(fs *flag.FlagSet, name string) (set bool) {
	fs.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}

// list is a flag that may be given more than once.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// prefixes is a flag of ranges, joined by commas or given more than once.
type prefixes []netip.Prefix

func (p *prefixes) String() string { return "" }

func (p *prefixes) Set(s string) error {
	for part := range strings.SplitSeq(s, ",") {
		one, err := netip.ParsePrefix(part)
		if ip, ipErr := netip.ParseAddr(part); ipErr == nil {
			one, err = netip.PrefixFrom(ip, ip.BitLen()), nil
		}
		if err != nil || !one.Addr().Is4() || one != one.Masked() || one.Bits() < 16 {
			return fmt.Errorf("%q is not an IPv4 range of /16 to /32, such as 203.0.113.8/29", part)
		}
		for _, other := range *p {
			if other.Overlaps(one) {
				return fmt.Errorf("%s overlaps %s", one, other)
			}
		}
		*p = append(*p, one)
	}
	return nil
}

type bytesFlag struct{ b *api.Bytes }

func (f bytesFlag) String() string {
	if f.b == nil {
		return ""
	}
	return f.b.String()
}

func (f bytesFlag) Set(s string) (err error) {
	*f.b, err = api.ParseBytes(s)
	return err
}

// sizeFlag is CPU,MEMORY.
type sizeFlag struct{ s *api.Size }

func (f sizeFlag) String() string {
	if f.s == nil {
		return ""
	}
	return f.s.CPU.String() + "," + f.s.Memory.String()
}

func (f sizeFlag) Set(s string) error {
	cpu, memory, ok := strings.Cut(s, ",")
	if !ok {
		return fmt.Errorf("%q is not CPU,MEMORY", s)
	}
	var err, err2 error
	f.s.CPU, err = api.ParseCPU(cpu)
	f.s.Memory, err2 = api.ParseBytes(memory)
	return errors.Join(err, err2)
}

// sizes is the series on offer.
type sizes []api.Size

func (l *sizes) String() string { return "" }

func (l *sizes) Set(s string) error {
	name, size, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return fmt.Errorf("%q is not NAME=CPU,MEMORY", s)
	}
	out := api.Size{Name: name}
	if err := (sizeFlag{&out}).Set(size); err != nil {
		return err
	}
	*l = append(*l, out)
	return nil
}

// shapes are the standby sandboxes.
type shapes struct{ s *[]engine.StandbyShape }

func (f shapes) String() string { return "" }

func (f shapes) Set(s string) error {
	count, size, given := strings.Cut(s, "=")
	var shape engine.StandbyShape
	if _, err := fmt.Sscanf(count, "%d", &shape.Count); err != nil || shape.Count < 0 || shape.Count > 1000 {
		return fmt.Errorf("%q is not a count of 0 to 1000", count)
	}
	if given {
		var out api.Size
		if err := (sizeFlag{&out}).Set(size); err != nil {
			return err
		}
		shape.CPU, shape.Memory = out.CPU, out.Memory
	}
	*f.s = append(*f.s, shape)
	return nil
}

// complete gives shapes without a size the default one, and drops empty ones.
func (f shapes) complete(size api.Size) {
	var kept []engine.StandbyShape
	for _, s := range *f.s {
		if s.CPU == 0 {
			s.CPU, s.Memory = size.CPU, size.Memory
		}
		if s.Count > 0 {
			kept = append(kept, s)
		}
	}
	*f.s = kept
}
