package linux

import (
	"context"
	"fmt"
)

// MakeAhead makes the next container as far as it can be made without an image, and
// lets it wait.
func (r *Runtime) MakeAhead(ctx context.Context) error {
	c, err := r.begin(nil)
	if err != nil {
		return fmt.Errorf("make a container ahead: %w", err)
	}
	if err := c.helper.await(ctx); err != nil {
		c.abandon(ctx)
		return fmt.Errorf("make a container ahead: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = c
	return nil
}
