package segment

import (
	"fmt"
	"regexp"
	"strings"
)

// typographic are signs that word processors put in the place of those of rules.
var typographic = map[rune]string{
	'“': `straight quotes: "`, '”': `straight quotes: "`, '„': `straight quotes: "`, '«': `straight quotes: "`, '»': `straight quotes: "`,
	'‘': `straight quotes: "`, '’': `straight quotes: "`,
	'≥': ">=", '≤': "<=", '≠': "!=", '–': "-", '—': "-", '−': "-", '×': "*", '…': "..",
}

// pasted finds the first such sign outside the texts of a rule that can't be read.
func pasted(s *source) (at span, hint string) {
	quote := rune(0)
	for i, r := range s.runes {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
		case strings.ContainsRune("\"'`", r):
			quote = r
		case typographic[r] != "":
			return span{i, i + 1}, "write " + typographic[r]
		}
	}
	return span{}, ""
}

var (
	thousands  = regexp.MustCompile(`^\d{1,3}(?:(?:\.\d{3}){2,}|(?:,\d{3})+)$`)
	aroundHere = regexp.MustCompile(`[\d.,]+$`)
	numberHere = regexp.MustCompile(`^[\d.,]*`)
	civilDate  = regexp.MustCompile(`\b\d{4}-\d{2}-\d{2}\b`)
	wholeDate  = regexp.MustCompile(`^\d{4}\s?-\s?\d{1,2}\s?-\s?\d{1,2}$`)
	percents   = regexp.MustCompile(`(\d+(?:\.\d+)?)\s*%\s*$`)
	comparison = regexp.MustCompile(`(\S+)\s*(?:<=|>=|<|>|==|!=)\s*\S+\s*(&&|\|\||\band|\bor)\s*$`)
	lastWord   = regexp.MustCompile(`(\S+)\s*$`)
	daysOnly   = regexp.MustCompile(`^days\((-?\d+)\)$`)
	inBrackets = regexp.MustCompile(`\bin\s*\(([^()\[\]]*)$`)
)

// numberHint is for numbers and dates as people write them, around the place where a rule can't be read.
func numberHint(s *source, at span) string {
	before, after := string(s.runes[:min(at.from, len(s.runes))]), string(s.runes[min(at.from, len(s.runes)):])
	if number := strings.Trim(aroundHere.FindString(before)+numberHere.FindString(after), ".,"); thousands.MatchString(number) {
		return "write " + strings.NewReplacer(".", "_", ",", "_").Replace(number)
	}
	line := string(s.runes[max(0, at.from-10):min(len(s.runes), at.from+11)])
	if date := civilDate.FindString(line); date != "" && !strings.Contains(line, `"`+date) {
		return fmt.Sprintf("write date(%q)", date)
	}
	return ""
}

// percentHint is for 90% where a number or a text is wanted.
func percentHint(before string) string {
	m := percents.FindStringSubmatch(before)
	switch {
	case m == nil:
		return ""
	case strings.LastIndex(before, "random_split(") > strings.LastIndex(before, ")"):
		return fmt.Sprintf(`write "%s%%" in quotes`, m[1])
	}
	return "write " + m[1] + " without %"
}

// operatorHint is for an operator that stands where a value is wanted.
func operatorHint(s *source, at span, word string) string {
	before := string(s.runes[:at.from])
	switch m := inBrackets.FindStringSubmatch(before); {
	case word == "," && m != nil:
		rest, _, _ := strings.Cut(string(s.runes[at.from:]), ")")
		return fmt.Sprintf("write the list in square brackets: in [%s%s]", m[1], rest)
	case mirrored(word) != "" || word == "==" || word == "!=":
		return repeatHint(before, word)
	}
	return ""
}

// repeatHint is for x > 18 && < 25.
func repeatHint(before, op string) string {
	m := comparison.FindStringSubmatch(before)
	if m == nil {
		return ""
	}
	if !balanced(m[1]) {
		return fmt.Sprintf("repeat the left side behind %s", m[2])
	}
	return fmt.Sprintf("repeat the left side: %s %s %s …", m[2], m[1], op)
}

// betweenHint is for x BETWEEN 20 AND 30.
func betweenHint(before string) string {
	m := lastWord.FindStringSubmatch(before)
	if m == nil || !balanced(m[1]) {
		return "write … >= … && … <= …"
	}
	return fmt.Sprintf("write %s >= … && %s <= …", m[1], m[1])
}

func balanced(text string) bool {
	opened, unopened := brackets([]rune(text))
	return opened == 0 && unopened == 0
}

// isHint is for x is true and its kin.
func isHint(after string) string {
	words := strings.Fields(strings.ToLower(after))
	switch {
	case len(words) > 1 && (words[1] == "true" || words[1] == "false"):
		return "write == " + words[1]
	case len(words) > 1 && words[1] == "not":
		return "write != nil to ask whether there is a value"
	}
	return "write == nil to ask whether a value is missing"
}
