// Command gendocs writes the reference of the command line, docs/cli.md, from
// the command tree itself.
package main

import (
	"flag"
	"log"
	"os"

	"cis/internal/cli"
	"cis/internal/cli/clidoc"
)

func main() {
	out := flag.String("o", "docs/cli.md", "file to write")
	flag.Parse()
	if err := os.WriteFile(*out, clidoc.Markdown(cli.Root()), 0o644); err != nil {
		log.Fatal(err)
	}
}
