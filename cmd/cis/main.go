// Command cis is the command line of the container instance service: it runs
// images as instances through the HTTP API of cisd.
package main

import (
	"context"
	"os"

	"cis/internal/cli"
)

// version is set by the build: -ldflags "-X main.version=…".
var version = "dev"

func main() {
	os.Exit(cli.Main(context.Background(), os.Args[1:], cli.Env{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		Getenv: os.Getenv, Version: version,
	}))
}
