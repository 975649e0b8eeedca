package access

import "testing"

// What nobody's name can be is refused like any other, also what the database could not even read.
func TestStrangeNamesAreDenied(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for _, name := range []string{"a\x00b", "\xff", ""} {
		if got, _ := d.login(name, good, home); got != "denied" {
			t.Errorf("%q: %s", name, got)
		}
	}
}
