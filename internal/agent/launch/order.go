package launch

import (
	"encoding/json"
	"fmt"
	"path"
	"strconv"

	"cis/internal/agent/linux/inside"
)

// Order is what a launch shall do.
type Order struct {
	// Report is the name of the pipe in ReportsDir, and of the file of Message there.
	Report string `json:"report"`
	// Mounts in the order in which they are made.
	Mounts []Mount `json:"mounts"`
	// Message is where the program finds a file for its last words; empty: there is none.
	Message string `json:"message,omitempty"`
	// ReadOnly makes the root so.
	ReadOnly bool `json:"readOnly,omitempty"`
	// Program to become; its Args and Env are the launcher's own.
	Program inside.Program `json:"program"`
}

// Mount is a volume, which is at VolumeDir of its number, or a part of one.
type Mount struct {
	// SubPath in the volume, see package subpath; empty: all of it.
	SubPath string `json:"subPath,omitempty"`
	// Target is the path in the container.
	Target string `json:"target"`
	// ReadOnly: nothing can be written through this mount.
	ReadOnly bool `json:"readOnly,omitempty"`
}

// MessageFile is that of a launch in the directory of reports.
func MessageFile(reports, report string) string { return path.Join(reports, report+".message") }

// VolumeDir is where the volume of a mount is until it is in its place.
func VolumeDir(i int) string { return path.Join(Dir, strconv.Itoa(i)) }

// Args begin the command line of cis-pause; the program's own come next.
func (o Order) Args() ([]string, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("write the order of a launch: %w", err)
	}
	return []string{ToolDir + "/pause", "launch", string(text)}, nil
}
