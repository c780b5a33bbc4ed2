package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestKube runs a copy of cis beside which scripts stand for cis-kube and cis-kubectl.
func TestKube(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bin")
	lib := filepath.Join(dir, "..", "lib", "cis")
	for _, d := range []string{dir, lib} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	cis := filepath.Join(dir, "cis")
	write := func(path string, data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(cis, self)
	run := func(args ...string) (string, int) {
		t.Helper()
		cmd := exec.Command(cis, args...)
		cmd.Env = append(os.Environ(), asCis+"=1")
		out, err := cmd.CombinedOutput()
		if _, exited := err.(*exec.ExitError); err != nil && !exited {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	for _, command := range []string{"kube", "kubectl"} {
		if out, code := run(command, "up"); code != exitFailure || !strings.Contains(out, "make kube") || !strings.Contains(out, dir) {
			t.Errorf("%s without its program: %d, %s", command, code, out)
		}
	}
	for _, where := range []string{lib, dir} {
		for _, program := range []string{kubeProgram, kubectlProgram} {
			write(filepath.Join(where, program), []byte("#!/bin/sh\necho "+filepath.Base(where)+" "+program+` "$@"; exit 7`+"\n"))
		}
		if out, code := run("kube", "up", "--listen", "x", "--help"); out != filepath.Base(where)+" cis-kube up --listen x --help\n" || code != 7 {
			t.Errorf("kube: %d, %s", code, out)
		}
		if out, code := run("kubectl", "get", "-A"); out != filepath.Base(where)+" cis-kubectl get -A\n" || code != 7 {
			t.Errorf("kubectl: %d, %s", code, out)
		}
	}
}
