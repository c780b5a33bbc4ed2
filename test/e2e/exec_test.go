package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
)

var execTests = tests{
	"output, input and exit code": func(e *env) {
		name := e.start("--", "sleep", "1000")
		r := e.cis("exec", name, "sh", "-c", "echo out; echo err >&2; exit 4")
		e.equal("stdout", r.Stdout, "out\n")
		e.equal("stderr", r.Stderr, "err\n")
		e.equal("exit code", r.Code, 4)
		e.equal("input", e.input("hello\n", "exec", "-i", name, "cat").Stdout, "hello\n")
		e.equal("killed", e.cis("exec", name, "sh", "-c", "kill -9 $$").Code, 137)
		e.equal("missing program", e.cis("exec", name, "nosuch").Code, 127)
	},
	"arguments, user, directory, environment": func(e *env) {
		name := e.start("-e", "A=1", "--", "sleep", "1000")
		e.equal("arguments", e.ok("exec", name, "--", "printf", "[%s]", "a b", "", "-c"), "[a b][][-c]")
		e.equal("user", e.ok("exec", "-u", "user", "-w", "/tmp", "-e", "B=2", name, "sh", "-c", "id -u; pwd; echo $A$B"), "1000\n/tmp\n12\n")
	},
	"sees the program's world": func(e *env) {
		name := e.start("--", "sh", "-c", "echo x >/root/here; exec sleep 1000")
		e.until("the file is there", func() bool { return e.cis("exec", name, "cat", "/root/here").Stdout == "x\n" })
		if !strings.Contains(e.ok("exec", name, "ps"), "sleep 1000") {
			e.Error("the program is not in ps")
		}
	},
	"a lot both ways": func(e *env) {
		name := e.start("--", "sleep", "1000")
		data := strings.Repeat("0123456789abcde\n", 1<<17)
		if got := e.input(data, "exec", "-i", name, "cat").Stdout; got != data {
			e.Errorf("got %d bytes back of %d", len(got), len(data))
		}
	},
	"not in what has ended": func(e *env) {
		name := e.name()
		e.ok("run", "--name", name, e.stage.Image, "true")
		e.ended(name)
		e.fails(125, []string{name}, "exec", name, "true")
	},
}

var copyTests = tests{
	"a file and a directory, both ways": func(e *env) {
		name := e.start("--", "sleep", "1000")
		dir := e.TempDir()
		big := bytes.Repeat([]byte("cis\n"), 1<<20)
		e.write(filepath.Join(dir, "in", "sub", "big"), big)
		e.write(filepath.Join(dir, "in", "run.sh"), []byte("#!/bin/sh\necho ran\n"))
		if err := os.Chmod(filepath.Join(dir, "in", "run.sh"), 0o755); err != nil {
			e.Fatal(err)
		}
		e.ok("cp", filepath.Join(dir, "in"), name+":/root/there")
		e.equal("program", e.ok("exec", name, "/root/there/run.sh"), "ran\n")
		e.ok("cp", name+":/root/there", filepath.Join(dir, "out"))
		got, err := os.ReadFile(filepath.Join(dir, "out", "sub", "big"))
		if err != nil || !bytes.Equal(got, big) {
			e.Errorf("came back with %d bytes, %v", len(got), err)
		}
		e.ok("cp", filepath.Join(dir, "in", "run.sh"), name+":/tmp/")
		e.equal("into a directory", e.ok("exec", name, "/tmp/run.sh"), "ran\n")
		e.fails(1, []string{"/nosuch"}, "cp", name+":/nosuch", dir)
	},
	"through a pipe": func(e *env) {
		name := e.start("--", "sleep", "1000")
		archive := e.ok("cp", name+":/etc/passwd", "-")
		if r := e.input(archive, "cp", "-", name+":/var/tmp"); r.Code != 0 {
			e.Fatalf("cp from standard input: %s", r.Stderr)
		}
		e.ok("exec", name, "cmp", "/etc/passwd", "/var/tmp/passwd")
	},
}

// write makes a file with the directories above it.
func (e *env) write(path string, data []byte) {
	e.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		e.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		e.Fatal(err)
	}
}
