package stage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// process is a program in the background.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// start runs a program that appends to a log.
func start(log, program string, args ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p := &process{cmd: exec.Command(program, args...), log: log, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	// Ctrl-C is for the tests, which then end it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // how it ends is told by its log
	}()
	return p, nil
}

func (p *process) Pid() int { return p.cmd.Process.Pid }

// wait returns when ready does no longer fail.
func (p *process) wait(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			err = errors.New("it ended")
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
			continue
		}
		log, _ := os.ReadFile(p.log)
		return fmt.Errorf("%s does not answer: %w\n%s", filepath.Base(p.cmd.Path), err, log)
	}
}

// end signals the process and waits for its end; one that will not is killed.
func (p *process) end(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.done
		log, _ := os.ReadFile(p.log)
		return fmt.Errorf("%s did not end after %v\n%s", filepath.Base(p.cmd.Path), sig, log)
	}
}

// startRegistry runs a registry on a free port of loopback, with more lines for
// its configuration.
func startRegistry(ctx context.Context, bin, dir, more string) (*process, string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	address := l.Addr().String()
	l.Close()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, "", err
	}
	config := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"+
		"storage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}\nhttp: {addr: %q}\n%s", dir, address, more)
	file := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, "", err
	}
	p, err := start(filepath.Join(dir, "log"), filepath.Join(bin, "docker-registry"), "serve", file)
	if err != nil {
		return nil, "", err
	}
	err = p.wait(ctx, func(ctx context.Context) error {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", address)
		if err == nil {
			c.Close()
		}
		return err
	})
	return p, address, err
}
