// Command cisd runs container instances on this host and serves the /v1 API.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	ttrpclog "github.com/containerd/log"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"cis/api"
	"cis/internal/account"
	"cis/internal/disk"
	"cis/internal/engine"
	"cis/internal/image"
	"cis/internal/machine/gvisor"
	"cis/internal/machine/qemu"
	"cis/internal/meter"
	"cis/internal/network"
	"cis/internal/server"
	"cis/internal/store"
)

// version is set at the build.
var version = "dev"

func main() {
	// ttrpc logs what its callers are told anyway.
	_ = ttrpclog.SetLevel("panic")
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	err := run(ctx, os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "cisd:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	c, err := parseConfig(args)
	if err != nil {
		return err
	}
	log, err := newLog(c.logLevel)
	if err != nil {
		return err
	}
	for _, dir := range []string{c.dataDir, c.runDir} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return err
		}
	}
	unlock, err := lock(c.dataDir)
	if err != nil {
		return err
	}
	defer unlock()
	if c.clean {
		return clean(ctx, c, log)
	}
	return serve(ctx, c, log)
}

func newLog(level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("-log-level: %w", err)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: l})), nil
}

// lockWait is how long a directory in use is tried again.
const lockWait = 2 * time.Second

// lock lets one cisd at a time use a data directory.
func lock(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	// A process that a killed cisd was just starting holds the lock for a moment.
	for end := time.Now().Add(lockWait); ; time.Sleep(20 * time.Millisecond) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if time.Now().After(end) {
			f.Close()
			return nil, fmt.Errorf("another cisd uses %s: end it, or choose another -data-dir", dir)
		}
	}
}

// serve wires the parts together and serves until ctx ends.
func serve(ctx context.Context, c *config, log *slog.Logger) (err error) {
	prices, err := loadPrices(c.prices)
	if err != nil {
		return err
	}
	sealer, err := account.OpenSealer(c.sealingKey)
	if err != nil {
		return fmt.Errorf("-sealing-key: %w", err)
	}
	record, err := store.Open(ctx, filepath.Join(c.dataDir, "record.db"))
	if err != nil {
		return err
	}
	defer record.Close()
	images, err := openImages(c, log)
	if err != nil {
		return err
	}
	defer images.Close()
	vpcs, err := network.Open(ctx, network.Config{Prefix: c.prefix, Links: c.links, Upstreams: c.upstreams,
		StateFile: networkState(c), Log: log})
	if err != nil {
		return err
	}
	defer vpcs.Close()
	gv, err := newGVisor(c, log)
	if err != nil {
		return err
	}
	isolations, err := openIsolations(ctx, c, gv, log)
	if err != nil {
		return err
	}
	defer isolations.close()
	limits, err := c.limits()
	if err != nil {
		return err
	}
	disks, err := disk.Open(filepath.Join(c.dataDir, "disks"))
	if err != nil {
		return err
	}
	eng, err := engine.Open(ctx, engine.Config{
		Store: record, Images: images, Network: vpcs, Log: log, Version: version,
		Machines: isolations.machines, Default: isolations.auto, Disks: disks,
		DataDir: c.dataDir, RunDir: c.runDir, CIDR: c.vpcCIDR, PublicAddresses: c.publicAddresses, Limits: limits, Standby: c.standby,
		Prices: prices, Sealer: sealer,
	})
	if err != nil {
		return err
	}
	defer eng.Close()
	isolations.prepare(ctx, limits, c.standby)
	return listenAndServe(ctx, c, eng, limits, log)
}

// loadPrices reads the price list, if there is one.
func loadPrices(file string) (*meter.Prices, error) {
	if file == "" {
		return nil, nil
	}
	prices, err := meter.LoadPrices(file)
	if err != nil {
		return nil, fmt.Errorf("-prices: %w", err)
	}
	return prices, nil
}

func openImages(c *config, log *slog.Logger) (*image.Store, error) {
	cas, err := c.registryCAFiles()
	if err != nil {
		return nil, err
	}
	return image.Open(filepath.Join(c.dataDir, "images"), image.Options{
		InsecureRegistries: c.insecureRegistries, CAFile: c.registryCA, RegistryCAFiles: cas, DockerConfig: c.dockerConfig,
		MaxBytes: int64(c.imagesMaxSize), Log: log,
	})
}

func newGVisor(c *config, log *slog.Logger) (*gvisor.Machine, error) {
	return gvisor.New(gvisor.Config{Dir: c.dataDir, Prefix: "/" + c.prefix,
		AgentPath: filepath.Join(c.libexec, "cis-agent"), RunscPath: filepath.Join(c.libexec, "runsc"),
		PausePath: filepath.Join(c.libexec, "cis-pause"), Log: log})
}

// networkState is where the network remembers what the host had before.
func networkState(c *config) string { return filepath.Join(c.dataDir, "network.json") }

func listenAndServe(ctx context.Context, c *config, eng *engine.Engine, limits engine.Limits, log *slog.Logger) error {
	listeners, err := listen(c, eng)
	if err != nil {
		return err
	}
	defaults := api.Defaults{Size: limits.DefaultSize, Sizes: limits.Sizes, SizesOnly: !limits.AnySize,
		MaxCPU: api.CPU(limits.CPUs * 1000), MaxMemory: limits.Memory}
	limiter := account.NewLimiter(c.rateLimit)
	serveCloud, err := openCloudAPI(c, eng, defaults, limiter, log)
	if err != nil {
		return err
	}
	srv := server.New(server.Config{Engine: eng, Log: log, Version: version, Limiter: limiter, Defaults: defaults})
	log.Info("serving", "socket", c.socket, "https", c.https, "cloudapi", c.cloudAPI.listen, "version", version)
	if serveCloud == nil {
		return srv.Serve(ctx, listeners...)
	}
	// When one of the two ends, the other does.
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return srv.Serve(ctx, listeners...) })
	group.Go(func() error { return serveCloud(ctx) })
	return group.Wait()
}

// listen opens the socket and, if asked for, the https port.
func listen(c *config, eng *engine.Engine) ([]server.Listener, error) {
	socket, err := server.ListenUnix(c.socket, "cis")
	if err != nil {
		return nil, err
	}
	listeners := []server.Listener{{Listener: socket}}
	if c.https == "" {
		return listeners, nil
	}
	secure, err := c.tls()
	if err != nil {
		return nil, err
	}
	port, err := net.Listen("tcp", c.https)
	if err != nil {
		return nil, fmt.Errorf("-https-listen: %w", err)
	}
	return append(listeners, server.Listener{Listener: port, Auth: server.Bearer(eng.TokenCaller),
		TLS: secure}), nil
}

// tls is what https is served with.
func (c *config) tls() (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(c.tlsCert, c.tlsKey)
	if err != nil {
		return nil, fmt.Errorf("-tls-cert, -tls-key: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, nil
}

// clean removes every trace of cisd from the host but its data directory: the
// sandboxes, the network and the cgroups, whether or not they are on record.
func clean(ctx context.Context, c *config, log *slog.Logger) error {
	gv, err := newGVisor(c, log)
	if err != nil {
		return err
	}
	vms, err := qemu.New(qemu.Config{Dir: c.dataDir, Prefix: vmPrefix(c), Log: log}) // to clean up it needs no program
	if err != nil {
		return err
	}
	return errors.Join(vms.Clean(ctx), gv.Clean(ctx), network.Clean(ctx, c.prefix, networkState(c)))
}
