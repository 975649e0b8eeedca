package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// column of a grid. The cells of all columns have the same number.
type column struct {
	head  string // may have several lines
	left  bool   // aligned left, otherwise right
	split bool   // a good place to begin the next part, where one part is not enough
	cells []string
	foot  string
}

// grid is a table that is split where it is too wide: each part repeats the first column.
type grid struct {
	columns []column
	footed  bool // has a row of sums
}

const (
	indent = "  "
	gap    = len(indent)
)

// write prints the grid in parts of at most width.
func (g grid) write(w io.Writer, width int, ink ink) error {
	for i, part := range g.split(width) {
		if i > 0 {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		if err := g.writePart(w, part, ink); err != nil {
			return err
		}
	}
	return nil
}

// split packs columns into parts in order.
func (g grid) split(width int) [][]column {
	key, total := g.columns[0], 0
	for _, c := range g.columns {
		total += gap + c.width()
	}
	var parts [][]column
	part, used := []column{key}, gap+key.width()
	for _, c := range g.columns[1:] {
		need := gap + c.width()
		if len(part) > 1 && (used+need > width || total > width && c.split) {
			parts = append(parts, part)
			part, used = []column{key}, gap+key.width()
		}
		part, used = append(part, c), used+need
	}
	return append(parts, part)
}

func (c *column) width() int {
	widest := text.LongestLineLen(c.head)
	for _, cell := range append([]string{c.foot}, c.cells...) {
		widest = max(widest, text.LongestLineLen(cell))
	}
	return widest
}

func (g grid) writePart(w io.Writer, part []column, ink ink) error {
	t := table.NewWriter()
	t.SetStyle(gridStyle())
	t.SuppressTrailingSpaces()
	head, foot, configs := table.Row{}, table.Row{}, []table.ColumnConfig{}
	for i, c := range part {
		align := text.AlignRight
		if c.left {
			align = text.AlignLeft
		}
		head, foot = append(head, inkLines(c.head, ink.bold)), append(foot, c.foot)
		configs = append(configs, table.ColumnConfig{Number: i + 1, Align: align, AlignHeader: align, AlignFooter: align, VAlignHeader: text.VAlignBottom})
	}
	t.SetColumnConfigs(configs)
	t.AppendHeader(head)
	for n := range part[0].cells {
		row := table.Row{}
		for _, c := range part {
			row = append(row, c.cells[n])
		}
		t.AppendRow(row)
	}
	if g.footed {
		t.AppendFooter(foot)
	}
	for line := range strings.Lines(t.Render() + "\n") {
		if rest, ok := strings.CutPrefix(line, "──"); ok { // rules begin where the text does
			line = indent + rest
		}
		if _, err := io.WriteString(w, line); err != nil {
			return err
		}
	}
	return nil
}

func inkLines(s string, ink func(string) string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = ink(lines[i])
	}
	return strings.Join(lines, "\n")
}

// gridStyle has no frame: a line below the head, one above the sums.
func gridStyle() table.Style {
	s := table.StyleLight
	s.Box.PaddingLeft, s.Box.PaddingRight = indent, ""
	s.Format = table.FormatOptions{Header: text.FormatDefault, Footer: text.FormatDefault, Row: text.FormatDefault}
	s.Options = table.Options{SeparateHeader: true, SeparateFooter: true}
	return s
}

// ink colours text where the terminal can.
type ink bool

func (i ink) paint(code, s string) string {
	if !i || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (i ink) bold(s string) string  { return i.paint("1", s) }
func (i ink) faint(s string) string { return i.paint("2", s) }
func (i ink) bad(s string) string   { return i.paint("31", s) }
func (i ink) warn(s string) string  { return i.paint("33", s) }

// number has a comma every three digits.
func number(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// percent is a share with one decimal, a dash where there is none.
func percent(share *float64) string {
	if share == nil {
		return "–"
	}
	return strconv.FormatFloat(100**share, 'f', 1, 64) + "%"
}

// sparkline draws values from 0 to the greatest of them.
func sparkline(values []float64) string {
	const bars = "▁▂▃▄▅▆▇█"
	top := 0.0
	for _, v := range values {
		top = max(top, v)
	}
	var b strings.Builder
	for _, v := range values {
		level := 0
		if top > 0 {
			level = int(v/top*7 + 0.5)
		}
		b.WriteRune([]rune(bars)[level])
	}
	return b.String()
}
