package guest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// setClock sets the kernel's clock to the host's, unless it is right already.
func setClock(now time.Time) error {
	if time.Since(now).Abs() < 100*time.Millisecond {
		return nil
	}
	tv := unix.NsecToTimeval(now.UnixNano())
	if err := unix.Settimeofday(&tv); err != nil {
		return fmt.Errorf("set the clock: %w", err)
	}
	return nil
}

const (
	// clockCheck is how often the kernel's clock is compared with the hardware's, which
	// QEMU keeps by the host's: the two part when the host sleeps, or is too busy to
	// let the kernel count its ticks.
	clockCheck = 10 * time.Second
	// clockError is the difference that is put right. The hardware's clock counts
	// seconds.
	clockError = 2 * time.Second
)

// KeepTime keeps the clock right until ctx ends.
func KeepTime(ctx context.Context, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(clockCheck):
		}
		if err := followHardware(); err != nil {
			log.Error("the clock cannot be kept", "error", err)
		}
	}
}

func followHardware() error {
	clock, err := os.Open("/dev/rtc0")
	if err != nil {
		return err
	}
	defer clock.Close()
	t, err := unix.IoctlGetRTCTime(int(clock.Fd()))
	if err != nil {
		return fmt.Errorf("read the hardware's clock: %w", err)
	}
	now := time.Date(int(t.Year)+1900, time.Month(t.Mon+1), int(t.Mday), int(t.Hour), int(t.Min), int(t.Sec), int(time.Second/2), time.UTC)
	if time.Since(now).Abs() < clockError {
		return nil
	}
	return setClock(now)
}
