package machine

import (
	"fmt"
	"os"
)

// Expendable takes from a process that was just started the protection from the
// kernel's search for memory that it has inherited from the server: an instance is a
// better loss than that. One that has ended needs none.
func Expendable(pid int) {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("0"), 0)
}
