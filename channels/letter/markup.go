package letter

import (
	"strings"
)

// block is a part of a text that stands by itself.
type block struct {
	kind  blockKind
	lines [][]run // as the author broke them
}

type blockKind int

const (
	paragraph blockKind = iota
	heading
	item
)

// run is text of one weight.
type run struct {
	text string
	bold bool
}

// parseText reads a letter's text. Empty lines part paragraphs; a line break stays one; "# " begins a heading, "- " an item of
// a list; **bold**. Whatever else there is, is printed as it is written.
func parseText(text string) []block {
	var blocks []block
	open := false // the next line goes on with the last block
	for _, line := range strings.Split(printable(strings.ReplaceAll(text, "\r\n", "\n")), "\n") {
		line = strings.Trim(line, " ")
		kind, rest := lineKind(line)
		switch {
		case line == "":
			open = false
			continue
		case kind != paragraph || !open || blocks[len(blocks)-1].kind == item:
			blocks = append(blocks, block{kind: kind})
		}
		runs := parseRuns(rest)
		for i := range runs {
			runs[i].bold = runs[i].bold || kind == heading
		}
		last := &blocks[len(blocks)-1]
		last.lines = append(last.lines, runs)
		open = kind != heading
	}
	return blocks
}

func lineKind(line string) (blockKind, string) {
	for _, mark := range []string{"# ", "## ", "### "} {
		if rest, ok := strings.CutPrefix(line, mark); ok {
			return heading, strings.Trim(strings.TrimRight(rest, "#"), " ")
		}
	}
	for _, mark := range []string{"- ", "* ", "• "} {
		if rest, ok := strings.CutPrefix(line, mark); ok {
			return item, strings.Trim(rest, " ")
		}
	}
	return paragraph, line
}

// parseRuns parts a line at its **; one without a partner is printed.
func parseRuns(line string) (runs []run) {
	add := func(text string, bold bool) {
		if text != "" {
			runs = append(runs, run{text, bold})
		}
	}
	for {
		before, rest, opened := strings.Cut(line, "**")
		inner, after, closed := strings.Cut(rest, "**")
		if !opened || !closed || inner == "" {
			add(line, false)
			return runs
		}
		add(before, false)
		add(inner, true)
		line = after
	}
}
