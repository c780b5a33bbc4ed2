package cgroup

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"cis/api"
)

// Usage reads what a group uses now.
func (t *Tree) Usage(group string) (Usage, error) {
	read := t.usageV1
	if t.v2 {
		read = t.usageV2
	}
	usage, err := read(group)
	if err != nil {
		return Usage{}, fmt.Errorf("usage of cgroup %s: %w", group, err)
	}
	return usage, nil
}

func (t *Tree) usageV1(group string) (Usage, error) {
	nanoseconds, err := readNumber(t.file("cpuacct", group, "cpuacct.usage"))
	if err != nil {
		return Usage{}, err
	}
	memory, err := readNumber(t.file("memory", group, "memory.usage_in_bytes"))
	if err != nil {
		return Usage{}, err
	}
	cache, err := readKey(t.file("memory", group, "memory.stat"), "total_inactive_file")
	return usage(float64(nanoseconds)/1e9, memory, cache), err
}

func (t *Tree) usageV2(group string) (Usage, error) {
	microseconds, err := readKey(t.file("cpu", group, "cpu.stat"), "usage_usec")
	if err != nil {
		return Usage{}, err
	}
	memory, err := readNumber(t.file("memory", group, "memory.current"))
	if err != nil {
		return Usage{}, err
	}
	cache, err := readKey(t.file("memory", group, "memory.stat"), "inactive_file")
	return usage(float64(microseconds)/1e6, memory, cache), err
}

func usage(seconds float64, memory, cache int64) Usage {
	return Usage{CPUSeconds: seconds, Memory: api.Bytes(max(0, memory-cache))}
}

func readNumber(path string) (int64, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
}

// readKey finds a line "key number".
func readKey(path, key string) (int64, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name == key {
			return strconv.ParseInt(value, 10, 64)
		}
	}
	return 0, fmt.Errorf("%s: no line %q", path, key)
}
