package layout

import (
	"encoding/json"
	"errors"
	"flag"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the dependency lists anew")

// floors of the module, the top one first. A package imports packages of its own
// line's folders and of lines below; what is not named here is on no floor, and fails.
var floors = [][]string{
	{"cmd", "tools", "test"},
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

type pkg struct {
	ImportPath, Name, Dir string
	GoFiles, Imports      []string
}

// path within the module.
func (p pkg) path() string { return strings.TrimPrefix(p.ImportPath, "cis/") }

// goList runs go list in the module's root.
func goList(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir, cmd.Stderr = "../..", os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %q: %v", args, err)
	}
	return out
}

func packages(t *testing.T) (all []pkg) {
	d := json.NewDecoder(strings.NewReader(string(goList(t, "-json=ImportPath,Name,Dir,GoFiles,Imports", "./..."))))
	for {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
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
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
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
		for _, imported := range p.Imports {
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
		out := goList(t, "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", "./cmd/"+program)
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
