package doctor

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// programs looks for what cisd starts.
func (h *host) programs(ctx context.Context) Finding {
	f := Finding{Check: "programs"}
	for _, name := range []string{"cisd", "cis-agent", "cis-pause", "runsc"} {
		if _, err := exec.LookPath(filepath.Join(h.Libexec, name)); err != nil {
			f.Level, f.Detail = Problem, fmt.Sprintf("%s is not in %s, or cannot be run", name, h.Libexec)
			f.Next = "build it: make build; or say where it is with --libexec-dir"
			return f
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, h.runsc(), "--version").Output()
	if err != nil {
		f.Level, f.Detail, f.Next = Problem, "runsc does not run: "+err.Error(), "build it again: rm bin/runsc, make build"
		return f
	}
	version, _, _ := strings.Cut(string(out), "\n")
	f.Detail = "in " + h.Libexec + ", " + version
	return f
}

func (h *host) runsc() string { return filepath.Join(h.Libexec, "runsc") }

// sandbox tries one: runsc runs a program of the host in it, without network and
// with the host's files read-only.
func (h *host) sandbox(ctx context.Context) Finding {
	f := Finding{Check: "isolation gvisor"}
	if !h.superuser {
		f.Level, f.Detail = Warning, "not tried without root"
		return f
	}
	start := time.Now()
	if err := h.trySandbox(ctx); err != nil {
		f.Level, f.Detail = Problem, "a sandbox cannot be made: "+err.Error()
		f.Next = "see the other findings; gVisor needs ptrace, seccomp and user namespaces"
		return f
	}
	f.Detail = fmt.Sprintf("a sandbox ran a program, in %d ms; platform systrap", time.Since(start).Milliseconds())
	return f
}

func (h *host) trySandbox(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	dir, err := os.MkdirTemp("", "cis-doctor-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cmd := exec.CommandContext(ctx, h.runsc(), "--root="+dir, "--platform=systrap", "--network=none", "--ignore-cgroups", "do", "/bin/true")
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		return fmt.Errorf("%w: %s", err, lines[len(lines)-1])
	}
	return nil
}
