package cli

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// allowed are the packages outside the standard library that cis may carry: a
// start in milliseconds depends on what is linked in.
var allowed = []string{
	"cis/api", "cis/client", "cis/internal/cli", "cis/internal/doctor", "cis/internal/osthread",
	"github.com/coder/websocket", "github.com/spf13/cobra", "github.com/spf13/pflag",
	"go.yaml.in/yaml/v2", "sigs.k8s.io/yaml", "golang.org/x/sys/unix", "golang.org/x/term",
}

func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.FieldsSeq(string(out)) {
		ok := slices.ContainsFunc(allowed, func(a string) bool { return path == a || strings.HasPrefix(path, a+"/internal/") })
		if !ok {
			t.Errorf("cis carries %s: is it worth its start-up time?", path)
		}
	}
}
