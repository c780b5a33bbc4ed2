// Package plane is a Kubernetes control plane in a data directory: its settings, its
// programs in their order, and its life from the first start to the last stop. Whatever
// it is killed at, the next start goes on from there. It does not know what objects the
// cluster needs; that is its Bootstrap.
package plane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"gopkg.in/natefinch/lumberjack.v2"

	"cis/kube/internal/durable"
	"cis/kube/internal/pki"
	"cis/kube/internal/supervise"
)

const (
	// lockPatience is for what a crash or another's stop is still ending.
	lockPatience = 30 * time.Second
	// How large a log becomes, and how many old ones are kept beside it.
	logMegabytes, oldLogs = 16, 2
	// failureLines of its log are shown of a program that does not start.
	failureLines = 8
)

var supervision = supervise.Options{
	MinDelay: time.Second, MaxDelay: 30 * time.Second, Reset: time.Minute,
	Tries: 3, Patience: 2 * time.Minute, Interval: 50 * time.Millisecond, Grace: 20 * time.Second,
}

// Bootstrap makes and keeps the objects that the cluster needs.
type Bootstrap interface {
	// Ensure makes them, as far as they are missing or changed.
	Ensure(ctx context.Context, p *Plane) error
	// Keep sees to what needs seeing to while the control plane is up, until ctx ends.
	Keep(ctx context.Context, p *Plane)
}

// Plane is a control plane that runs.
type Plane struct {
	Config
	bootstrap Bootstrap
	observer  Observer
	logs      map[string]io.Writer
	group     *supervise.Group
	node      *supervise.Group
	late      *supervise.Group // what nobody waits for
	stop      context.CancelFunc

	mu      sync.Mutex
	state   State
	certs   *pki.Result
	metrics metrics
	ready   chan struct{} // closed once all is ready for the first time
}

// Observer is told how it goes.
type Observer struct {
	// Say takes a line of text.
	Say func(string)
	// Ready is called once, when all is ready for the first time; its error is the end.
	Ready func() error
}

// Run runs a control plane until ctx ends or it is told to stop, which is no error.
func Run(ctx context.Context, c Config, b Bootstrap, o Observer) error {
	if err := c.Validate(); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	p := &Plane{Config: c, bootstrap: b, observer: o, stop: stop, state: Starting, ready: make(chan struct{})}
	return p.run(ctx)
}

func (p *Plane) run(ctx context.Context) error {
	if err := os.MkdirAll(p.path(logDir), 0o700); err != nil {
		return err
	}
	held, err := p.hold(ctx)
	if err != nil {
		return err
	}
	defer held.Close()
	defer os.Remove(p.path(pidFile))
	if err := p.prepare(); err != nil {
		return err
	}
	defer p.openLogs()()
	options := supervision
	options.Inherit = []*os.File{held}
	p.group = supervise.NewGroup(options, p.stages()...)
	p.node = supervise.NewGroup(options, p.nodeStages()...)
	p.late = supervise.NewGroup(options, p.metricsStages()...)
	defer p.observe("take the Services' rules back", func() error { return cleanServices(p.DataDir) })
	control, err := p.serveControl()
	if err != nil {
		return err
	}
	defer control()
	for renewed := false; ctx.Err() == nil; renewed = true {
		if err := p.once(ctx, renewed); err != nil {
			return err
		}
	}
	return nil
}

// hold takes the data directory for this process, and says so in it.
func (p *Plane) hold(ctx context.Context) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	held, err := lock(ctx, p.path(lockFile))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.DataDir, err)
	}
	return held, errors.Join(
		durable.Sweep(p.DataDir),
		durable.WriteFile(p.path(pidFile), []byte(strconv.Itoa(os.Getpid())+"\n")),
	)
}

// prepare does all that can be done before anything runs.
func (p *Plane) prepare() error {
	if err := p.admit(); err != nil {
		return err
	}
	l, err := net.Listen("tcp", p.Listen.String())
	if err != nil {
		return fieldErrorf("listen", "%v", err)
	}
	if err := l.Close(); err != nil {
		return err
	}
	return errors.Join(durable.WriteFile(p.path(schedulerFile), p.schedulerConfig()), p.prepareServices())
}

// ensurePKI makes and renews certificates, while nothing runs.
func (p *Plane) ensurePKI() error {
	ips, names := p.addresses()
	certs, err := pki.Ensure(pki.Config{
		Dir: p.path(pkiDir), Server: p.LocalServer(), PodServer: p.podServer(), Names: names, IPs: ips,
		Node: p.Node.Name, NodeIP: p.Node.Address.Addr().AsSlice(), MetricsIP: p.Metrics.AsSlice(),
	})
	if err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	if n := len(certs.Renewed); n > 0 {
		p.observer.Say(fmt.Sprintf("made %d certificates", n))
	}
	p.mu.Lock()
	p.certs = certs
	p.mu.Unlock()
	return nil
}

func (p *Plane) openLogs() (closeAll func()) {
	p.logs = map[string]io.Writer{}
	var all []io.Closer
	for _, name := range allPrograms() {
		l := &lumberjack.Logger{Filename: LogFile(p.DataDir, name), MaxSize: logMegabytes, MaxBackups: oldLogs}
		p.logs[name] = l
		all = append(all, l)
	}
	return func() {
		for _, l := range all {
			l.Close()
		}
	}
}

// once runs from a start to a stop: until ctx ends or certificates are to be renewed.
func (p *Plane) once(ctx context.Context, again bool) error {
	if err := p.ensurePKI(); err != nil {
		return err
	}
	p.set(Starting)
	began := time.Now()
	if err := p.start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	p.observer.Say(fmt.Sprintf("ready after %.1f s", time.Since(began).Seconds()))
	p.startMetrics(ctx)
	p.startNode(ctx)
	p.set(Ready)
	var err error
	if !again {
		close(p.ready)
		err = p.observer.Ready()
	}
	if err == nil {
		p.keep(ctx)
	}
	p.set(Stopping)
	p.setMetricsReady(false)
	p.late.Stop()
	p.node.Stop()
	p.group.Stop()
	p.observer.Say("stopped")
	return err
}

func (p *Plane) start(ctx context.Context) error {
	if err := p.group.Start(ctx); err != nil {
		return p.explain(err, failureLines)
	}
	if err := p.bootstrap.Ensure(ctx, p); err != nil {
		p.group.Stop()
		return fmt.Errorf("make the first objects: %w", err)
	}
	return nil
}

// keep returns when it is time to stop.
func (p *Plane) keep(ctx context.Context) {
	p.mu.Lock()
	renewal := p.certs.Renewal
	p.mu.Unlock()
	ctx, cancel := context.WithDeadline(ctx, renewal)
	defer cancel()
	p.bootstrap.Keep(ctx, p)
	<-ctx.Done()
}

// explain adds the end of the log of a program that did not start.
func (p *Plane) explain(err error, count int) error {
	var start *supervise.StartError
	if !errors.As(err, &start) {
		return err
	}
	path := LogFile(p.DataDir, start.Name)
	data, readErr := os.ReadFile(path)
	if readErr != nil {
		return err
	}
	lines := strings.Split(string(bytes.TrimSpace(data)), "\n")
	lines = lines[max(0, len(lines)-count):]
	return fmt.Errorf("%w; its log %s ends with\n  %s", err, path, strings.Join(lines, "\n  "))
}

// Log takes a failure that stops nothing.
func (p *Plane) Log(doing string, err error) { p.observer.Say(doing + ": " + err.Error()) }

// observe does something whose failure stops nothing.
func (p *Plane) observe(doing string, do func() error) {
	if err := do(); err != nil {
		p.Log(doing, err)
	}
}

func (p *Plane) set(s State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = s
}
