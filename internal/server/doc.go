// Package server is the HTTP front of cis: /v1 over a unix socket and, where
// wanted, https. It authenticates, decodes, checks and streams; every decision
// about instances is the Engine's.
//
// Each operation is one entry of the route table (routes.go), from which the
// requests are checked, counted and documented alike. Errors leave as RFC 9457
// problem details; the one mapping of codes to HTTP status is in problem.go.
//
// It never starts anything, keeps no state of its own but counters, and never
// sends the inner cause of an error to a caller. It speaks HTTP/1.1 only, since
// WebSockets need a connection of their own.
package server
