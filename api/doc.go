// Package api holds the public types of /v1: what a request may say, its
// defaults, and the rules it is checked against.
//
// It never talks to anything: no files, no network, no clock. It imports no
// other package of cis, so that every other one may import it.
package api
