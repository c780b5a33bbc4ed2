package api

import "testing"

func TestSignalNumber(t *testing.T) {
	for in, want := range map[string]int{"SIGTERM": 15, "quit": 3, "9": 9, "64": 64, "SIGRTMIN": 34, "SIGRTMIN+3": 37, "RTMAX-14": 50, "SIGRTMAX": 64, "SIGIOT": 6,
		"": 0, "0": 0, "65": 0, "-1": 0, "SIGNOPE": 0, "SIG": 0, "SIGRTMIN+31": 0, "SIGRTMIN+-1": 0, "SIGRTMAX-31": 0, "SIGRTMAX--1": 0, "SIGRTMAX+1": 0, "SIGRTMIN+": 0} {
		if got, ok := SignalNumber(in); got != want || ok != (want > 0) {
			t.Errorf("%q: %d, %t", in, got, ok)
		}
	}
}
