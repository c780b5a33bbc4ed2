package runsc

import (
	"fmt"
	"os"
)

// ReadyWord is what the agent writes when it answers on its socket.
const ReadyWord = "ok"

// readyFile is the descriptor of the pipe that machine/gvisor reads.
const readyFile = 3

// Ready tells machine/gvisor, once, that the agent listens on Config.SocketPath,
// or why it cannot go on.
func Ready(failure error) error {
	pipe := os.NewFile(readyFile, "ready")
	defer pipe.Close()
	word := ReadyWord
	if failure != nil {
		word = failure.Error()
	}
	if _, err := fmt.Fprintln(pipe, word); err != nil {
		return fmt.Errorf("tell that the agent is ready: %w", err)
	}
	return nil
}
