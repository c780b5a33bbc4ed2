// Package e2e tests cis from outside, as a user would: the built programs, a real
// registry, real sandboxes and networks. Everything is a stage's own (package
// cis/test/stage), so that the tests run beside a cisd that is in use.
//
// Most tests are cases that run once for each kind of isolation, side by side on
// one cisd. Those that end cisd have one of their own.
package e2e
