package api

import (
	"strconv"
	"strings"
)

// signals are Linux's by name, see signal(7).
var signals = map[string]int{
	"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "TRAP": 5, "ABRT": 6, "IOT": 6, "BUS": 7, "FPE": 8, "KILL": 9, "USR1": 10, "SEGV": 11,
	"USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15, "STKFLT": 16, "CHLD": 17, "CLD": 17, "CONT": 18, "STOP": 19, "TSTP": 20, "TTIN": 21,
	"TTOU": 22, "URG": 23, "XCPU": 24, "XFSZ": 25, "VTALRM": 26, "PROF": 27, "WINCH": 28, "IO": 29, "POLL": 29, "PWR": 30, "SYS": 31,
	"RTMIN": minRealTime, "RTMAX": maxSignal,
}

const (
	// minRealTime is the first signal that the C libraries leave to programs.
	minRealTime = 34
	maxSignal   = 64
)

// SignalNumber reads a signal: a name, with or without SIG, such as SIGUSR1, SIGRTMIN+3 or
// SIGRTMAX-3, or a number from 1 to 64. It is not ok for anything else.
func SignalNumber(s string) (n int, ok bool) {
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if n, ok = signals[name]; ok {
		return n, true
	}
	base := 0
	if rest, found := strings.CutPrefix(name, "RTMIN+"); found {
		base, name = minRealTime, rest
	} else if rest, found := strings.CutPrefix(name, "RTMAX-"); found {
		base, name = maxSignal, "-"+rest
	}
	if n, err := strconv.Atoi(name); err == nil && base+n >= max(base-30, 1) && base+n <= maxSignal && (base == 0 || base+n >= minRealTime) {
		return base + n, true
	}
	return 0, false
}
