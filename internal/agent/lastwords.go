package agent

import (
	"bytes"

	"cis/internal/agent/runtime"
)

// What of a program's output may be its last words: as much as a kubelet takes.
const (
	logWords = 2048 // bytes
	logLines = 80
)

// lastWords are those that the program has left, or the end of the output of one that
// failed without, if its container wants that. The output is complete.
func (a *attempt) lastWords(exit runtime.Exit) string {
	if exit.LastWords != "" || exit.Code == 0 || !a.spec.MessageFromLogs {
		return exit.LastWords
	}
	from, err := a.journal.Tail(logLines)
	if err != nil {
		return ""
	}
	var end []byte
	skip := from.Skip
	for e, err := range a.journal.All(from.Offset) {
		if err != nil {
			return ""
		}
		end = append(end, e.Data[skip:]...)
		end = bytes.Clone(end[max(len(end)-logWords, 0):])
		skip = 0
	}
	return string(end)
}
