package cli

import (
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// cell is one field of a table: its text and how it is coloured on a terminal.
type cell struct {
	text  string
	color color
}

// table writes rows in columns that line up, by what a terminal shows and not
// by bytes. The last column is as long as it likes.
type table struct {
	header []string
	rows   [][]cell
	// widths outlives write, so that rows written later (a watch) line up.
	widths []int
	styles palette
	headed bool
}

func newTable(styles palette, header ...string) *table {
	return &table{header: header, styles: styles}
}

// add appends one row of plain cells.
func (t *table) add(texts ...string) {
	row := make([]cell, len(texts))
	for i, s := range texts {
		row[i] = cell{text: s}
	}
	t.addCells(row...)
}

func (t *table) addCells(row ...cell) {
	for i := range row {
		row[i].text = clean(row[i].text)
		if row[i].text == "" {
			row[i].text = "-"
		}
	}
	t.rows = append(t.rows, row)
}

// write prints the rows added since the last write, with the header first.
func (t *table) write(w io.Writer) error {
	var b strings.Builder
	if t.widths == nil {
		t.widths = make([]int, len(t.header))
		for i, h := range t.header {
			t.widths[i] = width(h)
		}
	}
	for _, row := range t.rows {
		for i, c := range row {
			t.widths[i] = max(t.widths[i], width(c.text))
		}
	}
	if !t.headed {
		t.headed = true
		row := make([]cell, len(t.header))
		for i, h := range t.header {
			row[i] = cell{text: h, color: bold}
		}
		t.writeRow(&b, row)
	}
	for _, row := range t.rows {
		t.writeRow(&b, row)
	}
	t.rows = t.rows[:0]
	_, err := io.WriteString(w, b.String())
	return err
}

func (t *table) writeRow(b *strings.Builder, row []cell) {
	for i, c := range row {
		b.WriteString(t.styles.paint(c.color, c.text))
		if i < len(row)-1 {
			b.WriteString(strings.Repeat(" ", t.widths[i]-width(c.text)+3))
		}
	}
	b.WriteByte('\n')
}

// clean makes control characters visible, so that text from elsewhere (labels,
// messages of registries) cannot steer the terminal or break a line.
func clean(s string) string {
	if !strings.ContainsFunc(s, unsafeRune) {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unsafeRune(r):
			return '\uFFFD'
		}
		return r
	}, s)
}

func unsafeRune(r rune) bool { return r == utf8.RuneError || unicode.IsControl(r) }

// width is the number of columns that a terminal uses for s.
func width(s string) int {
	n := 0
	for _, r := range s {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		case isWide(r):
			n += 2
		default:
			n++
		}
	}
	return n
}

// isWide covers the blocks that Unicode's East Asian Width counts as wide, and emoji.
func isWide(r rune) bool {
	switch {
	case r < 0x1100:
		return false
	case r <= 0x115f, // Hangul Jamo
		r >= 0x2e80 && r <= 0xa4cf && r != 0x303f, // CJK, kana
		r >= 0xac00 && r <= 0xd7a3,                // Hangul syllables
		r >= 0xf900 && r <= 0xfaff,                // CJK compatibility
		r >= 0xfe30 && r <= 0xfe6f,
		r >= 0xff00 && r <= 0xff60, // full-width forms
		r >= 0xffe0 && r <= 0xffe6,
		r >= 0x1f300 && r <= 0x1faff, // emoji
		r >= 0x20000 && r <= 0x3fffd:
		return true
	}
	return false
}
