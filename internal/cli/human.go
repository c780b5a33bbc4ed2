package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"cis/api"
)

// ago is a span in the two or so digits that people read: 5s, 3m, 2h10m, 6d.
func ago(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < 10*time.Minute:
		return trimZero(fmt.Sprintf("%dm%ds", d/time.Minute, d/time.Second%60), "0s")
	case d < 3*time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 10*time.Hour:
		return trimZero(fmt.Sprintf("%dh%dm", d/time.Hour, d/time.Minute%60), "0m")
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d < 2*365*24*time.Hour:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	return fmt.Sprintf("%dy", d/(365*24*time.Hour))
}

// trimZero drops a second unit of nothing: 5m0s is 5m.
func trimZero(s, unit string) string {
	if rest, ok := strings.CutSuffix(s, unit); ok && !isDigit(rest[len(rest)-1]) {
		return rest
	}
	return s
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// since is ago, and empty for a time that was never set.
func since(now, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return ago(now.Sub(t))
}

// size is an amount of bytes in three digits and a binary unit.
func size(b api.Bytes) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	f, i := float64(b), 0
	for f >= 1000 && i < len(units)-1 {
		f /= 1024
		i++
	}
	switch {
	case i == 0:
		return strconv.FormatInt(int64(b), 10) + "B"
	case f < 10:
		return strconv.FormatFloat(f, 'f', 2, 64) + units[i]
	case f < 100:
		return strconv.FormatFloat(f, 'f', 1, 64) + units[i]
	}
	return strconv.FormatFloat(f, 'f', 0, 64) + units[i]
}

// millis is a duration in milliseconds as people read it.
func millis(ms float64) string {
	if ms >= 1000 {
		return strconv.FormatFloat(ms/1000, 'f', 2, 64) + " s"
	}
	return strconv.FormatFloat(ms, 'f', 1, 64) + " ms"
}

// shortDigest cuts digests (bare or in a reference) to 12 digits.
func shortDigest(s string) string {
	const mark = "sha256:"
	if i := strings.Index(s, mark); i >= 0 && len(s) > i+len(mark)+12 {
		return s[:i+len(mark)+12]
	}
	return s
}
