// Package launch is what happens in a container of a gVisor sandbox before its program
// runs there, where gVisor itself cannot give the program what it shall have: parts of
// volumes, and a file for its last words. The container's first program is then cis-pause,
// from a mount that only it sees. It puts the mounts in place, takes away what it was given
// for that, gives up its privileges and becomes the container's program. In a VM package
// linux/inside does the like.
//
// How it went is told through a pipe in a directory that the sandbox's root container has
// too, where a listener waits: words say what failed, an end without any that the program
// runs.
package launch

// Where a container has what its launch needs. All of it is gone when the program runs.
const (
	// Dir is below /dev, since that can be written to in every container.
	Dir = "/dev/.cis"
	// ToolDir has the image with cis-pause, ReportsDir the pipes.
	ToolDir    = Dir + "/tool"
	ReportsDir = Dir + "/reports"
)
