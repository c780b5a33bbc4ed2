package cli

import (
	"io"
	"strconv"
)

// color is an ANSI graphic rendition; 0 is none.
type color int

const (
	bold   color = 1
	faint  color = 2
	red    color = 31
	green  color = 32
	yellow color = 33
	blue   color = 34
	purple color = 35
	cyan   color = 36
)

// palette paints text, or leaves it alone when false.
type palette bool

// palette for w: colour only on terminals, and not with NO_COLOR (no-color.org).
func (a *app) palette(w io.Writer) palette {
	return palette(isTerminal(w) && a.Getenv("NO_COLOR") == "" && a.Getenv("TERM") != "dumb")
}

func (p palette) paint(c color, s string) string {
	if !p || c == 0 || s == "" {
		return s
	}
	return "\x1b[" + strconv.Itoa(int(c)) + "m" + s + "\x1b[0m"
}
