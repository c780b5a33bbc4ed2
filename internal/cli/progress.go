package cli

import (
	"fmt"
	"strings"
	"time"

	"cis/api"
)

// redrawEvery bounds how often a terminal is redrawn.
const redrawEvery = 50 * time.Millisecond

// progress shows a pull or import on standard error: one line a layer, redrawn,
// on a terminal; else a line for each new state.
type progress struct {
	app   *app
	quiet bool
	live  bool
	order []string // layers as they first came
	state map[string]api.Progress
	drawn int // lines on the screen
	last  time.Time
}

func newProgress(a *app, quiet bool) *progress {
	return &progress{app: a, quiet: quiet, live: isTerminal(a.Err), state: map[string]api.Progress{}}
}

func (p *progress) show(now api.Progress) {
	if p.quiet || now.Error != nil || now.Status == "" {
		return
	}
	before, known := p.state[now.Layer]
	if !known {
		p.order = append(p.order, now.Layer)
	}
	p.state[now.Layer] = now
	changed := !known || before.Status != now.Status
	switch {
	case !p.live && changed:
		fmt.Fprintln(p.app.Err, p.line(now.Layer))
	case p.live && (changed || time.Since(p.last) >= redrawEvery):
		p.draw()
	}
}

// draw replaces the lines on the screen.
func (p *progress) draw() {
	var b strings.Builder
	if p.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", p.drawn)
	}
	for _, layer := range p.order {
		fmt.Fprintf(&b, "\r\x1b[K%s\n", p.line(layer))
	}
	fmt.Fprint(p.app.Err, b.String())
	p.drawn, p.last = len(p.order), time.Now()
}

// close leaves the last state on the screen.
func (p *progress) close() {
	if p.live && p.drawn > 0 {
		p.draw()
	}
}

// barWidth is the length of a full bar.
const barWidth = 24

func (p *progress) line(layer string) string {
	s := p.state[layer]
	text := clean(s.Status)
	if layer != "" {
		text = clean(strings.TrimPrefix(layer, "sha256:")) + ": " + text
	}
	switch {
	case !p.live || s.Total <= 0:
		if s.Total > 0 {
			text += " " + size(api.Bytes(s.Total))
		}
	case s.Current < s.Total:
		done := int(float64(barWidth) * float64(s.Current) / float64(s.Total))
		text += fmt.Sprintf(" [%s%s] %s / %s", strings.Repeat("=", done), strings.Repeat(" ", barWidth-done), size(api.Bytes(s.Current)), size(api.Bytes(s.Total)))
	default:
		text += " " + size(api.Bytes(s.Total))
	}
	return text
}
