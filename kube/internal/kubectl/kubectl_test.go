package kubectl

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/util/i18n"

	"cis/kube/internal/home"
	"cis/kube/internal/pki"
)

// TestTexts holds kubectl's catalogue of English texts against those in its source: while
// they are the same, nobody misses the catalogue.
func TestTexts(t *testing.T) {
	var texts []string
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		texts = append(texts, c.Short, c.Deprecated)
		c.LocalFlags().VisitAll(func(f *pflag.Flag) { texts = append(texts, f.Usage) })
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(cmd.NewDefaultKubectlCommandWithArgs(options()))
	if err := i18n.LoadTranslations("kubectl", func() string { return "default" }); err != nil {
		t.Fatal(err)
	}
	if len(texts) < 500 {
		t.Errorf("kubectl has %d texts", len(texts))
	}
	for _, text := range texts {
		if got := i18n.T(text); got != text {
			t.Errorf("%q is %q in the catalogue", text, got)
		}
	}
}

func TestUseAdmin(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(home.Env, dir)
	t.Setenv("KUBECONFIG", "mine")
	if useAdmin(); os.Getenv("KUBECONFIG") != "mine" {
		t.Errorf("without a cluster: %s", os.Getenv("KUBECONFIG"))
	}
	path := home.PKI(dir, pki.AdminConfig)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if useAdmin(); os.Getenv("KUBECONFIG") != path {
		t.Errorf("with a cluster: %s", os.Getenv("KUBECONFIG"))
	}
}
