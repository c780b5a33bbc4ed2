// Package cli is the command line cis: it turns arguments into requests of /v1
// and the answers into text, streams and exit codes.
//
// It is a client of the HTTP API and nothing else: it never reads the server's
// files, never polls where the server can tell, and knows neither the engine
// nor the server. It keeps no global state: the world that a command sees
// (streams, environment, version) is handed in as an Env.
package cli

//go:generate go run ./gendocs -o ../../docs/cli.md
