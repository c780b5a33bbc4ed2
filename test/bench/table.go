package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// sample is a set of durations.
type sample []time.Duration

func (s sample) quantile(q float64) time.Duration { return quantile(s, q) }
func (s sample) median() time.Duration            { return s.quantile(0.5) }

// quantile by nearest rank; q from 0 to 1. Of nothing it is zero.
func quantile[T cmp.Ordered](values []T, q float64) (found T) {
	if len(values) == 0 {
		return found
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// String is "median / p99".
func (s sample) String() string {
	if len(s) == 0 {
		return ""
	}
	return fmt.Sprintf("%s / %s", millis(s.median()), millis(s.quantile(0.99)))
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}

// table collects what was measured.
type table struct{ rows [][5]string }

// add a row; goal is what the ratio, or else the figure, shall be at most.
func (t *table) add(what, cis, podman, ratio, goal string) {
	t.rows = append(t.rows, [5]string{what, cis, podman, ratio, goal})
}

// compare adds a row of two samples.
func (t *table) compare(what string, cis, podman sample, goal string) {
	t.add(what, cis.String(), podman.String(), fmt.Sprintf("%.2f", float64(cis.median())/float64(podman.median())), goal)
}

func (t *table) write(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(tw, "WHAT\tCIS (median / p99)\tPODMAN (median / p99)\tRATIO\tGOAL")
	for _, r := range t.rows {
		for i := range r {
			if r[i] == "" {
				r[i] = "-"
			}
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", r[0], r[1], r[2], r[3], r[4])
	}
	tw.Flush()
}
