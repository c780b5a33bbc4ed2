package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cis/api"
)

// What little of the host's memory and disk is said to be too little.
const (
	scarceMemory = 512 * api.MiB
	fullDisk     = 512 * api.MiB
	scarceDisk   = 5 * api.GiB
	scarceInodes = 10_000
)

func (h *host) memory(context.Context) Finding {
	f := Finding{Check: "memory"}
	available, ok := parseMeminfo(h.read("/proc/meminfo"), "MemAvailable")
	f.Detail = fmt.Sprintf("%.1f GiB available", float64(available)/float64(api.GiB))
	switch {
	case !ok:
		f.Level, f.Detail = Warning, "/proc/meminfo does not say what is available"
	case available < scarceMemory:
		f.Level, f.Next = Warning, "free some: an instance takes its programs' memory and about 40Mi"
	}
	return f
}

// parseMeminfo finds a line "Name:   N kB" in /proc/meminfo.
func parseMeminfo(text, name string) (api.Bytes, bool) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != name+":" {
			continue
		}
		n, err := strconv.ParseInt(fields[1], 10, 64)
		return api.Bytes(n) * 1024, err == nil && n >= 0
	}
	return 0, false
}

// space looks at the file system on which the data directory is or would be.
func (h *host) space(context.Context) Finding {
	dir := existing(h.DataDir)
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return Finding{Check: "space", Level: Problem, Detail: fmt.Sprintf("%s: %v", dir, err), Next: "make the directory, or start cisd with another -data-dir"}
	}
	return judgeSpace(h.DataDir, api.Bytes(fs.Bavail)*api.Bytes(fs.Bsize), fs.Files, fs.Ffree)
}

// judgeSpace leaves inodes out where a file system has no fixed number of them.
func judgeSpace(dir string, free api.Bytes, inodes, freeInodes uint64) Finding {
	f := Finding{Check: "space", Detail: fmt.Sprintf("%.1f GiB free for %s", float64(free)/float64(api.GiB), dir)}
	const next = "free some (cis image rm), or start cisd with another -data-dir"
	switch {
	case free < fullDisk:
		f.Level, f.Next = Problem, next
	case free < scarceDisk:
		f.Level, f.Next = Warning, next
	case inodes > 0 && freeInodes < scarceInodes:
		f.Level, f.Detail, f.Next = Warning, fmt.Sprintf("%d inodes free for %s", freeInodes, dir), next
	}
	return f
}

// existing is the path or its nearest parent that exists.
func existing(path string) string {
	for path != "/" && path != "." {
		if _, err := os.Stat(path); err == nil {
			break
		}
		path = filepath.Dir(path)
	}
	return path
}

// clock looks at the host's time, which certificates of registries are checked by.
func (h *host) clock(context.Context) Finding {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	synchronized := err == nil && state != unix.TIME_ERROR
	var built time.Time
	if exe, err := os.Executable(); err == nil {
		if info, err := os.Stat(exe); err == nil {
			built = info.ModTime()
		}
	}
	return judgeClock(time.Now(), built, synchronized)
}

func judgeClock(now, built time.Time, synchronized bool) Finding {
	f := Finding{Check: "clock", Detail: now.UTC().Format(time.RFC3339)}
	switch {
	case now.Before(built.Add(-time.Hour)):
		f.Level, f.Detail = Problem, f.Detail+" is before this program was built"
		f.Next = "set the clock: certificates of registries would be refused"
	case !synchronized:
		f.Level, f.Detail, f.Next = Warning, f.Detail+", not synchronized", "run a time service, such as systemd-timesyncd or chrony"
	}
	return f
}
