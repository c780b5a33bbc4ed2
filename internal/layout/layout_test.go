package layout

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the dependency lists anew")

// floors of the module, the top one first. A package imports packages of its own
// line's folders and of lines below; what is not named here is on no floor, and fails.
var floors = [][]string{
	{"cmd", "tools", "test", "cis-kubelet"},
	{"internal/cli"},
	{"internal/server", "internal/cloudapi"},
	{"client", "internal/doctor"},
	{"internal/engine"},
	{"internal/image", "internal/network"},
	{"internal/machine"},
	{"internal/agent"},
	{"internal/store"},
	{"internal/meter", "internal/journal", "internal/cgroup", "internal/busybox", "internal/testbox", "internal/layout", "internal/erofs", "internal/ext4", "internal/disk", "internal/keylock", "internal/osthread", "internal/sealed", "internal/seccomp", "internal/account", "docs"},
	{"api"},
	{"kube/cmd", "kube/test", "kube/coredns"},
	{"kube/internal/command", "kube/internal/program", "kube/internal/kubectl"},
	{"kube/internal/bootstrap"},
	{"kube/internal/plane"},
	{"kube/internal/pki", "kube/internal/supervise", "kube/internal/netns", "kube/internal/relay"},
	{"kube/internal/durable", "kube/internal/home"},
}

// never lists what the floors would allow and the design does not.
var never = []struct{ from, to, why string }{
	{"internal/cli", "internal/server", "the command line is a client of the HTTP API and nothing else"},
	{"internal/cli", "internal/engine", "the command line is a client of the HTTP API and nothing else"},
	{"internal/cli", "internal/store", "the command line is a client of the HTTP API and nothing else"},
	{"client", "internal", "users of the client shall not depend on the inside"},
	{"internal/server", "internal/machine", "the server knows the engine only"},
	{"internal/server", "internal/network", "the server knows the engine only"},
	{"internal/server", "internal/store", "the server knows the engine only"},
	{"internal/server", "client", "the server calls nobody"},
	{"internal/cloudapi", "internal/machine", "the cloud API knows the engine only"},
	{"internal/cloudapi", "internal/network", "the cloud API knows the engine only"},
	{"internal/cloudapi", "internal/store", "the cloud API knows the engine only"},
	{"internal/cloudapi", "internal/engine", "the cloud API knows the engine by its own interface"},
	{"internal/cloudapi", "client", "the server calls nobody"},
	{"internal/engine", "internal/machine/", "the engine knows machines by their interface"},
	{"internal/agent", "internal/store", "the agent keeps no record"},
	{"internal/image", "internal/network", "images and networks know nothing of each other"},
	{"internal/network", "internal/image", "images and networks know nothing of each other"},
}

// modules are the folders of the modules with code of ours.
var modules = []string{".", "kube", "kube/coredns", "kubelet"}

type pkg struct {
	ImportPath, Name, Dir string
	GoFiles               []string
}

// path within the module.
func (p pkg) path() string { return strings.TrimPrefix(p.ImportPath, "cis/") }

// goList runs go list in a module's folder.
func goList(t *testing.T, module string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir, cmd.Stderr = filepath.Join("../..", module), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %q: %v", args, err)
	}
	return out
}

func packages(t *testing.T) (all []pkg) {
	// What is imported is read from the files: go list would have all of Kubernetes here
	// to say it, and is kept from fetching it.
	t.Setenv("GOPROXY", "off")
	for _, module := range modules {
		d := json.NewDecoder(bytes.NewReader(goList(t, module, "-find", "-json=ImportPath,Name,Dir,GoFiles", "./...")))
		for {
			var p pkg
			err := d.Decode(&p)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, p)
		}
	}
	return all
}

// parse reads a package's files as far as mode says.
func (p pkg) parse(t *testing.T, mode parser.Mode) (all []*ast.File) {
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, mode)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, file)
	}
	return all
}

// imports are the paths that a package's files import.
func (p pkg) imports(t *testing.T) (all []string) {
	for _, file := range p.parse(t, parser.ImportsOnly) {
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, path)
		}
	}
	return all
}

// within tells whether a package is the folder or lies in it; a folder that ends
// with a slash means what lies in it only.
func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/")
}

func floor(path string) int {
	return slices.IndexFunc(floors, func(folders []string) bool {
		return slices.ContainsFunc(folders, func(f string) bool { return within(path, f) })
	})
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range packages(t) {
		want := "Package " + p.Name + " "
		if p.Name == "main" {
			want = "Command " + p.path()[strings.LastIndex(p.path(), "/")+1:] + " "
		}
		if !slices.ContainsFunc(docs(t, p), func(doc string) bool { return strings.HasPrefix(doc, want) }) {
			t.Errorf("%s has no doc comment that begins with %q", p.path(), want)
		}
	}
}

// docs are the comments at the package clauses of a package's files.
func docs(t *testing.T, p pkg) (all []string) {
	for _, file := range p.parse(t, parser.PackageClauseOnly|parser.ParseComments) {
		all = append(all, file.Doc.Text())
	}
	return all
}

func TestImportsGoDown(t *testing.T) {
	for _, p := range packages(t) {
		from := floor(p.path())
		if from < 0 {
			t.Errorf("%s is on no floor: name it in floors", p.path())
		}
		for _, imported := range p.imports(t) {
			to, ours := strings.CutPrefix(imported, "cis/")
			if !ours {
				continue
			}
			if floor(to) < from {
				t.Errorf("%s imports %s, which is above it", p.path(), to)
			}
			for _, n := range never {
				if within(p.path(), n.from) && within(to, n.to) {
					t.Errorf("%s imports %s: %s", p.path(), to, n.why)
				}
			}
		}
	}
}

// TestDependencies holds the modules that each program is built of to a checked-in
// list, so that growth is a decision. With -update the lists are written anew.
func TestDependencies(t *testing.T) {
	for _, program := range []string{"cis", "cisd", "cis-agent", "cis-pause"} {
		out := goList(t, ".", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", "./cmd/"+program)
		modules := strings.Fields(string(out))
		slices.Sort(modules)
		got := strings.Join(slices.Compact(modules), "\n") + "\n"
		file := filepath.Join("deps", program+".txt")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s is built of other modules than %s says; if that is wanted, go test ./internal/layout -update\ngot:\n%s", program, file, got)
		}
	}
}
