package cloudapi

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"cis/test/stage"
)

// TestMain builds the programs and installs the SDK.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := stage.Build("packages up", "build", "sdk"); err != nil {
		fmt.Fprintln(os.Stderr, "build the programs:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
