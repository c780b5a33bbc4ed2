package api

import (
	"io"
	"time"
)

// ListOptions choose instances.
type ListOptions struct {
	// Selector is a label selector: k=v, k!=v, k, !k, k in (a,b), comma-separated.
	Selector string
	// Phases: any of these; empty: all.
	Phases []Phase
	// Limit of a page, 1 to 1000; 0: 500. Continue is the token of the page before.
	Limit    int
	Continue string
}

// InstanceKeys are what an instance is looked for by.
type InstanceKeys struct {
	ID, Name, VPC, Address, PublicAddress string
	Phase                                 Phase
	Labels                                map[string]string
}

// EventOptions choose events.
type EventOptions struct {
	// Instance is a name, ID, or beginning of an ID; empty: all.
	Instance string
	// Since is an event ID: only later ones.
	Since int64
	// Limit as in ListOptions.
	Limit int
}

// LogEntry is a piece of output: not always a whole line.
type LogEntry struct {
	Time time.Time
	// Stream is 1 for standard output, 2 for standard error.
	Stream int
	// Data is valid until the callback that got the entry returns.
	Data []byte
}

// Streams of an exec or attach. Nil members are not wanted.
type Streams struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Resize brings the terminal's sizes.
	Resize <-chan WindowSize
	// Started is called once when the program runs.
	Started func()
}
