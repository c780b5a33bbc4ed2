package api

import "strings"

// Nearest returns the word most like name, or "" if none is like it: the same
// but for case, or at most two edits (one in short words) away.
func Nearest(name string, words []string) string {
	limit := 2
	if len(name) < 4 {
		limit = 1
	}
	best, bestEdits := "", limit+1
	for _, word := range words {
		if strings.EqualFold(name, word) {
			return word
		}
		if d := edits(name, word, bestEdits); d < bestEdits {
			best, bestEdits = word, d
		}
	}
	return best
}

// edits counts the single-letter changes from a to b, but no further than limit.
func edits(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
