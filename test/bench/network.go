package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"cis/api"
	"cis/internal/busybox"
	"cis/test/stage"
)

// What is measured of the network in one round. Many short rounds tell more than a few
// long ones on a machine whose speed varies.
const (
	streamTime = "500ms"
	tripCount  = "400"
	openCount  = "100"
	probePort  = ":7000"
	// One sandbox is a few hundredths faster than the next, for as long as it lives, so
	// rounds go to these in turn.
	serverCount = 3
)

// end is a place that netprobe runs in.
type end func(ctx context.Context, args ...string) (float64, error)

// network is one that probes run in: instances and the host.
type network struct {
	servers        []string // addresses of the instances that serve
	instance, host end      // another instance, and the host
}

// between are the ways that are measured. What an instance sends to the host goes over a
// connection that the host has begun, since a VPC keeps its instances from the host.
var between = []struct {
	what string
	from func(network) end
}{
	{"instance to instance", func(n network) end { return n.instance }},
	{"instance to host", func(n network) end { return n.host }},
}

func (b *bench) netTCP(ctx context.Context) error       { return b.streams(ctx, "gvisor") }
func (b *bench) netVMTCP(ctx context.Context) error     { return b.streams(ctx, "vm") }
func (b *bench) netLatency(ctx context.Context) error   { return b.latencies(ctx, "gvisor") }
func (b *bench) netVMLatency(ctx context.Context) error { return b.latencies(ctx, "vm") }

func (b *bench) streams(ctx context.Context, isolation string) error {
	return b.onNetworks(ctx, isolation, func(cis, podman network) error {
		for _, way := range between {
			ours, theirs, err := b.inTurn(ctx, cis, podman, way.from, "receive", streamTime)
			if err != nil {
				return err
			}
			b.addFigures(isolation+": TCP, "+way.what, ours, theirs, perSecond, ">= 0.95")
		}
		return nil
	})
}

func (b *bench) latencies(ctx context.Context, isolation string) error {
	return b.onNetworks(ctx, isolation, func(cis, podman network) error {
		for _, way := range between {
			for _, kind := range []struct{ measure, count, what, goal string }{
				{"trips", tripCount, "a byte there and back", "1.05"},
				{"connects", openCount, "a connection and a byte", ""},
			} {
				ours, theirs, err := b.inTurn(ctx, cis, podman, way.from, kind.measure, kind.count)
				if err != nil {
					return err
				}
				b.addFigures(fmt.Sprintf("%s: %s, %s", isolation, kind.what, way.what), ours, theirs, micros, kind.goal)
			}
		}
		return nil
	})
}

// inTurn measures both networks in each round.
func (b *bench) inTurn(ctx context.Context, cis, podman network, from func(network) end, measure, amount string) (ours, theirs figures, err error) {
	once := func(n network) func(int) (float64, error) {
		return func(round int) (float64, error) {
			return from(n)(ctx, measure, n.servers[round%len(n.servers)]+probePort, amount)
		}
	}
	return alternate(b.runs, once(cis), once(podman))
}

func (b *bench) addFigures(what string, cis, podman figures, show func(float64) string, goal string) {
	b.table.add(what, show(cis.median()), show(podman.median()), ratio(cis, podman), goal)
}

func perSecond(bytes float64) string { return fmt.Sprintf("%.2f Gbit/s", bytes*8/1e9) }
func micros(nanos float64) string    { return fmt.Sprintf("%.0f µs", nanos/1000) }

// onNetworks calls f while instances run in each network, all but one of them serving.
func (b *bench) onNetworks(ctx context.Context, isolation string, f func(cis, podman network) error) (err error) {
	s, probe, err := b.openProbe(ctx, isolation)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	cis, err := cisNetwork(ctx, s, probe)
	if err != nil {
		return err
	}
	p, err := newPodman(ctx, filepath.Join(s.Dir, "podman"), filepath.Join(s.Bin, "runsc"), s.Registry+"/"+probeImage)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	podman, err := podmanNetwork(ctx, p, probe)
	if err != nil {
		return err
	}
	return f(cis, podman)
}

const probeImage = "netprobe:1"

// openProbe is a stage whose registry has an image of netprobe, and the program itself.
// Its instances have all processors, as podman's containers have.
func (b *bench) openProbe(ctx context.Context, isolation string) (_ *stage.Stage, probe string, err error) {
	size := fmt.Sprintf("%d,512Mi", runtime.NumCPU())
	s, err := stage.Open(ctx, stage.Config{Bin: b.bin, Flags: []string{"-isolation", isolation, "-standby", "0", "-default-size", size}})
	if err != nil {
		return nil, "", err
	}
	if probe, err = pushProbe(ctx, s); err != nil {
		return nil, "", errors.Join(err, s.Close())
	}
	return s, probe, nil
}

func pushProbe(ctx context.Context, s *stage.Stage) (string, error) {
	probe := filepath.Join(s.Dir, "netprobe")
	build := exec.CommandContext(ctx, "go", "build", "-o", probe, "cis/test/netprobe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build netprobe: %w\n%s", err, out)
	}
	content, err := os.ReadFile(probe)
	if err != nil {
		return "", err
	}
	layer, err := busybox.Layer(busybox.File{Name: "bin/netprobe", Content: content})
	if err != nil {
		return "", err
	}
	return probe, s.Push(ctx, probeImage, busybox.Options{Layers: []v1.Layer{layer}})
}

// cisNetwork starts the instances; a group of their own lets the servers serve.
func cisNetwork(ctx context.Context, s *stage.Stage, probe string) (network, error) {
	open := api.SecurityGroup{Name: "probe", Ingress: []api.Rule{{}}}
	if _, err := s.Client.CreateSecurityGroup(ctx, open); err != nil {
		return network{}, err
	}
	n := network{host: hostEnd(probe)}
	for i := range serverCount {
		address, err := startServer(ctx, s, "server"+strconv.Itoa(i), "probe")
		if err != nil {
			return network{}, err
		}
		n.servers = append(n.servers, address)
	}
	var err error
	n.instance, err = startClient(ctx, s)
	return n, err
}

// startServer runs an instance that serves, and returns its address.
func startServer(ctx context.Context, s *stage.Stage, name, group string) (string, error) {
	if _, err := cis(ctx, s, "run", "-d", "--name", name, "--secgroup", group, s.Registry+"/"+probeImage, "netprobe", "serve", probePort); err != nil {
		return "", err
	}
	in, err := s.Client.Get(ctx, name)
	return in.Status.Address, err
}

func startClient(ctx context.Context, s *stage.Stage) (end, error) {
	if _, err := cis(ctx, s, "run", "-d", "--name", "client", s.Registry+"/"+probeImage, "sleep", "3600"); err != nil {
		return nil, err
	}
	return func(ctx context.Context, args ...string) (float64, error) {
		out, err := cis(ctx, s, append([]string{"exec", "client", "netprobe"}, args...)...)
		return number(out, err)
	}, nil
}

// cis runs the command line, which must succeed.
func cis(ctx context.Context, s *stage.Stage, args ...string) (string, error) {
	r, err := s.Cis(ctx, "", args...)
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("cis %s: exit code %d: %s", args[0], r.Code, r.Stderr)
	}
	return r.Stdout, err
}

func podmanNetwork(ctx context.Context, p *podman, probe string) (network, error) {
	n := network{
		instance: func(ctx context.Context, args ...string) (float64, error) {
			out, err := p.inside(p.command(ctx, append([]string{"exec", "client", "netprobe"}, args...)...))
			return number(out, err)
		},
		host: func(ctx context.Context, args ...string) (float64, error) {
			out, err := p.inside(exec.CommandContext(ctx, probe, args...))
			return number(out, err)
		},
	}
	for i := range serverCount {
		name := "server" + strconv.Itoa(i)
		if err := p.start(ctx, name, "netprobe", "serve", probePort); err != nil {
			return network{}, err
		}
		address, err := p.inside(p.command(ctx, "inspect", "-f", "{{.NetworkSettings.IPAddress}}", name))
		if err != nil {
			return network{}, err
		}
		n.servers = append(n.servers, strings.TrimSpace(address))
	}
	return n, p.start(ctx, "client", "sleep", "3600")
}

func hostEnd(probe string) end {
	return func(ctx context.Context, args ...string) (float64, error) {
		out, err := exec.CommandContext(ctx, probe, args...).Output()
		return number(string(out), err)
	}
}

// number is what netprobe prints.
func number(out string, err error) (float64, error) {
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(strings.TrimSpace(out), 64)
}

// netRules compares an instance behind 1,000 rules, of which the last lets the probe in,
// with one behind a single rule.
func (b *bench) netRules(ctx context.Context) (err error) {
	s, _, err := b.openProbe(ctx, "gvisor")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	addresses := map[string]string{}
	for name, count := range map[string]int{"few": 1, "many": 1000} {
		if _, err := s.Client.CreateSecurityGroup(ctx, api.SecurityGroup{Name: name, Ingress: rules(count)}); err != nil {
			return err
		}
		if addresses[name], err = startServer(ctx, s, name, name); err != nil {
			return err
		}
	}
	client, err := startClient(ctx, s)
	if err != nil {
		return err
	}
	few := network{servers: []string{addresses["few"]}, instance: client}
	many := network{servers: []string{addresses["many"]}, instance: client}
	for _, kind := range []struct{ measure, count, what string }{
		{"trips", tripCount, "a byte there and back"}, {"connects", openCount, "a connection and a byte"},
	} {
		with, without, err := b.inTurn(ctx, many, few, between[0].from, kind.measure, kind.count)
		if err != nil {
			return err
		}
		b.table.add("gvisor: "+kind.what+", 1 rule", micros(without.median()), "", "", "")
		b.table.add("  1,000 rules", micros(with.median()), "", ratio(with, without), "1.05")
	}
	return nil
}

// rules are so many, none of which holds another; the last is the probe's.
func rules(count int) []api.Rule {
	var all []api.Rule
	for i := range count - 1 {
		all = append(all, api.Rule{Protocol: api.ProtocolTCP, Ports: strconv.Itoa(8000 + i), CIDR: fmt.Sprintf("10.9.%d.%d/32", i/250, i%250)})
	}
	return append(all, api.Rule{Protocol: api.ProtocolTCP, Ports: strings.TrimPrefix(probePort, ":")})
}

// netNIC runs the benchmarks of package network, which make NICs as cisd does.
func (b *bench) netNIC(ctx context.Context) error {
	for _, run := range []struct{ name, times string }{{"BenchmarkNIC", "100x"}, {"BenchmarkFull", "1x"}} {
		out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^"+run.name+"$", "-benchtime", run.times, "cis/internal/network").CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", run.name, err, out)
		}
		found := metrics(string(out))
		for _, row := range nicRows {
			if n, ok := found[row.metric]; ok {
				b.table.add(row.what, fmt.Sprintf("%.1f ms", n), "", "", "8 ms")
			}
		}
	}
	return nil
}

var nicRows = []struct{ metric, what string }{
	{"ms-median-attach", "a NIC made"},
	{"ms-median-detach", "a NIC removed"},
	{"ms-median-attach-first-100", "a NIC made, the first 100 of 500"},
	{"ms-median-attach-last-100", "  the last 100"},
	{"ms-median-detach-full", "a NIC removed, of 500"},
	{"ms-median-detach-empty", "  the last 100"},
}

// metrics are the values of a benchmark's line, by their units.
func metrics(out string) map[string]float64 {
	found, words := map[string]float64{}, strings.Fields(out)
	for i, word := range words {
		if n, err := strconv.ParseFloat(word, 64); err == nil && i+1 < len(words) {
			found[words[i+1]] = n
		}
	}
	return found
}
