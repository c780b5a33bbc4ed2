package cli

import (
	"os"
	"testing"

	"cis/internal/cli/clidoc"
)

// TestReferenceIsCurrent: docs/cli.md is what the commands say of themselves.
func TestReferenceIsCurrent(t *testing.T) {
	got, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := clidoc.Markdown(Root()); string(got) != string(want) {
		t.Error("docs/cli.md is out of date: run go generate ./internal/cli")
	}
}
