package runsc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"cis/internal/agent/agentpb"
	"cis/internal/agent/lastwords"
	"cis/internal/agent/launch"
	"cis/internal/agent/runtime"
)

// container is one attempt of a container.
type container struct {
	sandbox *Sandbox
	name    string
	// id is new for every attempt.
	id   string
	spec *agentpb.Container

	// store has the pages of the writable layer.
	store *os.File

	stopKeyboard func()
}

// Start implements runtime.Runtime.
func (s *Sandbox) Start(ctx context.Context, c *agentpb.Container, stdio runtime.Stdio) (runtime.Process, error) {
	s.mu.Lock()
	workload := s.workload
	s.starts++
	made := &container{sandbox: s, name: c.Name, id: c.Name + "-" + strconv.Itoa(s.starts), spec: c}
	s.mu.Unlock()
	if workload == nil {
		return nil, fmt.Errorf("start %s: the sandbox has no workload yet", c.Name)
	}
	if err := made.start(ctx, workload, stdio); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	made.stopKeyboard = s.keyboard(stdio.Terminal, made.id, 0)
	s.mu.Lock()
	s.containers[c.Name] = made
	s.mu.Unlock()
	return made, nil
}

func (c *container) start(ctx context.Context, w *agentpb.Workload, stdio runtime.Stdio) error {
	store, err := openStore(c.sandbox.conf.Dir)
	if err != nil {
		return err
	}
	c.store = store
	if err := c.startWith(ctx, w, stdio); err != nil {
		store.Close()
		return err
	}
	return nil
}

// startWith starts it with its store.
func (c *container) startWith(ctx context.Context, w *agentpb.Workload, stdio runtime.Stdio) error {
	request, err := c.request(w)
	defer request.close()
	if err != nil {
		return err
	}
	control := c.sandbox.control
	create := struct{ CID string }{c.id}
	files := request.files
	if c.spec.TTY {
		err = control.call(ctx, methodCreate, create, nil, stdio.Terminal)
	} else {
		err = control.call(ctx, methodCreate, create, nil)
		files = append([]*os.File{stdio.Stdin, stdio.Stdout, stdio.Stderr}, files...)
	}
	if err != nil {
		return err
	}
	if launches(c.spec) {
		err = c.launch(ctx, request.args, files)
	} else {
		err = control.call(ctx, methodStart, request.args, nil, files...)
	}
	if err != nil {
		// What began goes, even when ctx has ended meanwhile.
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		control.call(after, methodDestroy, c.id, nil)
	}
	return err
}

// launch starts a container with a launcher, and returns when that has become its program.
func (c *container) launch(ctx context.Context, args startArgs, files []*os.File) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	launched := make(chan error, 1)
	go func() {
		words, err := c.sandbox.errands.Listen(ctx, path.Join(reportsDir, c.id))
		if err == nil && words != "" {
			err = errors.New(words)
		}
		launched <- err
	}()
	if err := c.sandbox.control.call(ctx, methodStart, args, nil, files...); err != nil {
		return err
	}
	return <-launched
}

// startRequest is a call of StartSubcontainer in the making. Files are ordered as
// gVisor reads them: stores of writable layers, the upper layer's tar, then the
// images and connections to gofers; each kind in the order of the mounts.
type startRequest struct {
	args   startArgs
	files  []*os.File
	stores []*os.File
	lowers []*os.File
	opened []*os.File
}

func (r *startRequest) close() {
	for _, file := range r.opened {
		file.Close()
	}
}

func (c *container) request(w *agentpb.Workload) (*startRequest, error) {
	processes, err := c.processes(w)
	r := &startRequest{args: startArgs{
		Spec: containerSpec(c.spec, processes), Conf: containerConf(), CID: c.id,
		GoferMountConfs:             []mountConf{rootConf(w.EphemeralStorage)},
		IsRootfsUpperTarFilePresent: true,
	}}
	if err != nil {
		return r, err
	}
	r.stores = append(r.stores, c.store)
	image, err := r.openImage(c.spec.Rootfs)
	if err != nil {
		return r, err
	}
	upper, err := upperLayer(image, w, c.spec)
	if err != nil {
		return r, err
	}
	r.opened = append(r.opened, upper)
	if err := c.mounts(r, w); err != nil {
		return r, err
	}
	r.args.NumGoferFilestoreFDs = len(r.stores)
	r.files = append(append(append(r.files, r.stores...), upper), r.lowers...)
	return r, nil
}

// processes is the name of the container's PID namespace: its own ID, or that of the
// container whose processes it shall see.
func (c *container) processes(w *agentpb.Workload) (string, error) {
	switch {
	case w.ShareProcesses:
		return "", nil
	case c.spec.Target == "":
		return c.id, nil
	}
	target, err := c.sandbox.running(c.spec.Target)
	if err != nil {
		return "", err
	}
	return target.id, nil
}

func (r *startRequest) openImage(path string) (*os.File, error) {
	image, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open image: %w", err)
	}
	r.lowers, r.opened = append(r.lowers, image), append(r.opened, image)
	return image, nil
}

// mounts adds the system's and the volumes' mounts.
func (c *container) mounts(r *startRequest, w *agentpb.Workload) error {
	mounts, tmp, launched := systemMounts(), true, launches(c.spec)
	for i, m := range c.spec.Mounts {
		if launched {
			m = agentpb.Mount{Volume: m.Volume, Path: launch.VolumeDir(i)}
		}
		made, err := c.mount(r, w, m)
		if err != nil {
			return fmt.Errorf("mount volume %s: %w", m.Volume, err)
		}
		mounts = append(mounts, made)
		tmp = tmp && made.Destination != "/tmp"
	}
	if tmp {
		mounts = append(mounts, noTmp)
	}
	r.args.Spec.Mounts = mounts
	if launched {
		return c.launcher(r)
	}
	return nil
}

func (c *container) mount(r *startRequest, w *agentpb.Workload, m agentpb.Mount) (specs.Mount, error) {
	made := specs.Mount{Destination: filepath.Clean(m.Path)}
	if m.ReadOnly {
		made.Options = []string{"ro"}
	}
	for _, v := range w.Volumes {
		if v.Name == m.Volume && v.Files {
			return c.fileMount(v, made.Destination)
		}
		if v.Name == m.Volume && v.Image != "" {
			if _, err := r.openImage(v.Image); err != nil {
				return made, err
			}
			made.Type, made.Options = "erofs", []string{"ro"}
			r.args.GoferMountConfs = append(r.args.GoferMountConfs, mountConf{Lower: lowerErofs, Upper: upperNone})
			return made, nil
		}
	}
	v := c.sandbox.volumes[m.Volume]
	if v == nil {
		return made, fmt.Errorf("no such volume")
	}
	made.Type, made.Source = "bind", v.source
	conf := mountConf{Lower: lowerNone, Upper: upperMemory}
	switch {
	case v.dir != "":
		connection, err := c.sandbox.startGofer(v.dir, m.ReadOnly)
		if err != nil {
			return made, err
		}
		r.lowers, r.opened = append(r.lowers, connection), append(r.opened, connection)
		conf = mountConf{Lower: lowerLisafs, Upper: upperNone}
	case !v.memory:
		conf.Upper = upperStore
		r.stores = append(r.stores, v.store)
	}
	r.args.GoferMountConfs = append(r.args.GoferMountConfs, conf)
	return made, nil
}

// Wait implements runtime.Process.
func (c *container) Wait() (runtime.Exit, error) {
	defer c.stopKeyboard()
	exit, err := c.sandbox.waitFor(methodWait, c.id)
	if err != nil || c.spec.MessagePath == "" || c.sandbox.isLost() {
		return exit, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), wordsTimeout)
	defer cancel()
	words, err := c.lastWords(ctx)
	exit.LastWords = lastwords.Or(words, err)
	return exit, nil
}

// wordsTimeout bounds how long a program's end may wait for its last words.
const wordsTimeout = 10 * time.Second

func (s *Sandbox) isLost() bool {
	select {
	case <-s.lost:
		return true
	default:
		return false
	}
}

// waitFor waits for a program's end by a call that returns its wait status. A
// program whose sandbox is lost has been killed.
func (s *Sandbox) waitFor(method string, arg any) (runtime.Exit, error) {
	var status uint32
	err := s.control.call(context.Background(), method, arg, &status)
	if err == nil {
		return s.exit(unix.WaitStatus(status)), nil
	}
	select {
	case <-s.lost:
		return runtime.Exit{Code: 128 + int(unix.SIGKILL), Signal: int(unix.SIGKILL), OOMKilled: s.cause.OOMKilled}, nil
	case <-time.After(lossDelay):
		return runtime.Exit{}, err
	}
}

// lossDelay is how long after a broken call the sandbox's end may be seen: one
// with thousands of processes takes its time to die.
const lossDelay = 30 * time.Second

func (s *Sandbox) exit(status unix.WaitStatus) runtime.Exit {
	if !status.Signaled() {
		return runtime.Exit{Code: status.ExitStatus()}
	}
	signal := int(status.Signal())
	return runtime.Exit{
		Code: 128 + signal, Signal: signal,
		OOMKilled: signal == int(unix.SIGKILL) && s.newOOMKill(),
	}
}

// How gVisor delivers a signal (boot.SignalDeliveryMode).
const (
	toProcess    = 0
	toAll        = 1
	toForeground = 2
)

// signalArgs is runsc's boot.SignalArgs.
type signalArgs struct {
	CID   string
	Signo int32
	PID   int32
	Mode  int
}

func signalMode(all bool) int {
	if all {
		return toAll
	}
	return toProcess
}

// Signal implements runtime.Process.
func (c *container) Signal(ctx context.Context, signal int, all bool) error {
	args := signalArgs{CID: c.id, Signo: int32(signal), Mode: signalMode(all)}
	if err := c.sandbox.control.call(ctx, methodSignal, args, nil); err != nil {
		return fmt.Errorf("signal %s: %w", c.name, err)
	}
	return nil
}

// Delete implements runtime.Process.
func (c *container) Delete(ctx context.Context) error {
	s := c.sandbox
	s.mu.Lock()
	if s.containers[c.name] == c {
		delete(s.containers, c.name)
	}
	s.mu.Unlock()
	c.store.Close()
	if err := s.control.call(ctx, methodDestroy, c.id, nil); err != nil {
		return fmt.Errorf("delete %s: %w", c.name, err)
	}
	return nil
}
