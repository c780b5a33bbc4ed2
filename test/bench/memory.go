package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"cis/test/stage"
)

// memory adds up what is started for idle instances, and what they use of the processors.
func (b *bench) memory(ctx context.Context) (err error) {
	s, err := stage.Open(ctx, stage.Config{Bin: b.bin, Flags: []string{"-standby", "0"}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	time.Sleep(3 * time.Second) // what a start leaves to do is done
	b.table.add("cisd idle, RSS", mebibytes(status(s.Cisd(), "VmRSS")), "", "", "50 MiB")
	for i := range b.idle {
		if r, err := s.Cis(ctx, "", "run", "-d", "--name", fmt.Sprintf("idle-%d", i), s.Image, "sleep", "1000"); err != nil || r.Code != 0 {
			return fmt.Errorf("cis run: %w, exit code %d: %s", err, r.Code, r.Stderr)
		}
	}
	time.Sleep(3 * time.Second)
	pids, err := members(s.Prefix)
	if err != nil {
		return err
	}
	total, by := int64(0), map[string]int64{}
	for _, pid := range pids {
		pss := pss(pid)
		total += pss
		by[kind(pid)] += pss
	}
	n := int64(b.idle)
	b.table.add(fmt.Sprintf("an idle instance, PSS (mean of %d)", n), mebibytes(total/n), "", "", "40 MiB")
	for _, name := range slices.Sorted(maps.Keys(by)) {
		b.table.add("  of it: "+name, mebibytes(by[name]/n), "", "", "")
	}
	share, err := busy(ctx, pids)
	if err != nil {
		return err
	}
	b.table.add(fmt.Sprintf("an idle instance, processor (mean of %d)", n), fmt.Sprintf("%.2f %% of a core", 100*share/float64(n)), "", "", "")
	b.table.add("  processes", fmt.Sprintf("%.1f", float64(len(pids))/float64(n)), "", "", "")
	b.table.add(fmt.Sprintf("cisd with %d instances, RSS", n), mebibytes(status(s.Cisd(), "VmRSS")), "", "", "")
	return nil
}

// members are the processes in the cgroups of a stage's sandboxes.
func members(prefix string) ([]int, error) {
	var pids []int
	for _, root := range []string{"/sys/fs/cgroup/" + prefix, "/sys/fs/cgroup/memory/" + prefix} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() != "cgroup.procs" {
				return err
			}
			data, err := os.ReadFile(path)
			for line := range strings.Lines(string(data)) {
				pid, _ := strconv.Atoi(strings.TrimSpace(line)) // the kernel writes numbers
				pids = append(pids, pid)
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return pids, nil
}

// kind of a process, by its arguments.
func kind(pid int) string {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	args := strings.ReplaceAll(string(data), "\x00", " ")
	switch {
	case strings.Contains(args, "cis-agent"):
		return "agent"
	case strings.Contains(args, "runsc-gofer"):
		return "gofer"
	case strings.Contains(args, "runsc-sandbox"):
		return "sandbox"
	}
	// Stubs have copied the sentry's arguments, or have none.
	return "others"
}

// busy watches processes for 20 seconds, and tells how many processors they kept busy.
func busy(ctx context.Context, pids []int) (processors float64, err error) {
	const span, ticksPerSecond = 20, 100 // USER_HZ, see proc_pid_stat(5)
	before := ticks(pids)
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(span * time.Second):
	}
	return float64(ticks(pids)-before) / ticksPerSecond / span, nil
}

// ticks is the processor time that processes have had, in user and kernel mode; of those that have ended, none.
func ticks(pids []int) (total int64) {
	for _, pid := range pids {
		data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		// The name, in brackets, may contain spaces.
		fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
		if len(fields) < 13 {
			continue
		}
		for _, field := range fields[11:13] {
			n, _ := strconv.ParseInt(field, 10, 64)
			total += n
		}
	}
	return total
}

// pss is the memory of a process in bytes, with its part of what it shares.
func pss(pid int) int64 {
	return field(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss")
}

func status(pid int, name string) int64 { return field(fmt.Sprintf("/proc/%d/status", pid), name) }

// field reads a line "Name:  N kB" in bytes; 0 for a process that has ended.
func field(file, name string) int64 {
	data, _ := os.ReadFile(file)
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == name+":" {
			kb, _ := strconv.ParseInt(f[1], 10, 64)
			return kb * 1024
		}
	}
	return 0
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
