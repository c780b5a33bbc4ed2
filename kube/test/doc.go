// Package test holds the end-to-end tests of cis-kube: they run the built program, with
// every component real, on the loopback address and in temporary directories.
package test
