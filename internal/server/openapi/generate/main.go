// Command generate writes the reference of the HTTP API: openapi.json and api.md.
// It is run in the folder docs, by go generate.
package main

import (
	"fmt"
	"os"

	"cis/internal/server/openapi"
)

func main() {
	if err := run("../api"); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(apiDir string) error {
	for file, describe := range map[string]func(string) ([]byte, error){"openapi.json": openapi.JSON, "api.md": openapi.Markdown} {
		data, err := describe(apiDir)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := os.WriteFile(file, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
