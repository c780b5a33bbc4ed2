package cloudapi

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"cis/test/stage"
)

// TestMain builds the programs and installs the SDK.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, "build the programs:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func build() error {
	root, err := stage.ModuleRoot()
	if err != nil {
		return err
	}
	for _, script := range [][]string{{"packages", "up"}, {"build"}, {"sdk"}} {
		cmd := exec.Command(filepath.Join(root, "scripts", script[0]), script[1:]...)
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return err
		}
	}
	return nil
}
