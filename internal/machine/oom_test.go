package machine

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestExpendable(t *testing.T) {
	cmd := exec.Command("cat")
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	file := fmt.Sprintf("/proc/%d/oom_score_adj", cmd.Process.Pid)
	if err := os.WriteFile(file, []byte("300"), 0); err != nil {
		t.Fatal(err)
	}
	Expendable(cmd.Process.Pid)
	if got, err := os.ReadFile(file); err != nil || strings.TrimSpace(string(got)) != "0" {
		t.Errorf("%s %v", got, err)
	}
	input.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	Expendable(cmd.Process.Pid) // has ended
}
