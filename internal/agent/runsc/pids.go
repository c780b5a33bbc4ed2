package runsc

import (
	"context"
	"fmt"
)

// countPids counts the processes and threads of containers.
func (c control) countPids(ctx context.Context, ids []string) (int64, error) {
	var sum int64
	for _, id := range ids {
		var processes []struct {
			Threads []int32 `json:"threads"`
		}
		if err := c.call(ctx, methodProcesses, id, &processes); err != nil {
			return 0, fmt.Errorf("count processes: %w", err)
		}
		for _, p := range processes {
			sum += int64(len(p.Threads))
		}
	}
	return sum, nil
}
