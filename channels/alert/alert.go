// Package alert is the channel to a person of the company: a notice on the page of a desk, which updates by itself.
package alert

import (
	"errors"
	"regexp"
)

var deskName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// checkDesk says what is wrong with a desk's name in a campaign. Which desks there are, sapa.yaml says.
func checkDesk(name string) error {
	if !deskName.MatchString(name) {
		return errors.New("a desk's name has lower-case letters, digits and single -, such as front-desk")
	}
	return nil
}
