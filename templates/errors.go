package templates

import "fmt"

// MissingError says that a value which the template prints is missing (NULL) for this person. The message must not be
// sent: it would have a hole.
type MissingError struct {
	File      string // name of the source file, may be empty
	Variable  string // as the author wrote it: customer.first_name
	Line, Col int    // in that file
}

// Error names the value, its place and the remedy.
func (e *MissingError) Error() string {
	return fmt.Sprintf("%s%s is missing; give it a default: {{ %s | default: \"…\" }}", at(e.File, e.Line, e.Col), e.Variable, e.Variable)
}

// RenderError says why a template could not be filled for this person.
type RenderError struct {
	File      string
	Line, Col int
	Reason    string
}

// Error is the reason and its place.
func (e *RenderError) Error() string { return at(e.File, e.Line, e.Col) + e.Reason }

func at(file string, line, col int) string {
	switch {
	case line == 0 && file == "":
		return ""
	case line == 0:
		return file + ": "
	case file == "":
		return fmt.Sprintf("%d:%d: ", line, col)
	}
	return fmt.Sprintf("%s:%d:%d: ", file, line, col)
}
