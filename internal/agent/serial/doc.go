// Package serial carries connections over a serial port, one after another: between
// a host and the agent in a VM, who share one byte stream that neither can close.
//
// A host that connects begins with a mark that occurs nowhere else, and a number of
// its own; the guest answers with the same. Whatever was still on its way, either
// way, belongs to the connection before and is dropped. Bytes of a connection that
// look like a mark's beginning are escaped.
//
// There is one connection at a time: a new one ends the one before. Deadlines are
// not supported. The package knows nothing of what it carries.
package serial

// The escape byte is followed by what it stands for.
const (
	escape  = 0xdb
	literal = 0x00 // the escape byte itself
	mark    = 0x01 // a connection begins; its number follows, in digits
)

// numberSize is the length of a connection's number: hexadecimal digits, none of
// which is an escape byte.
const numberSize = 16
