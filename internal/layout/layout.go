// Package layout holds the tests of how the module is built up: who may import
// whom, that every package says what it is for, and which modules each program
// depends on. It has no code but them.
package layout
