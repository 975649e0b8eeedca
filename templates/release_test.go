package templates

import (
	"bytes"
	"testing"
)

func TestReleasedFrameHoldsNothingOfAPerson(t *testing.T) {
	t.Parallel()
	tpl := mustParse(t, `{% capture long %}{{ customer.first_name }}, {{ customer.first_name }}{% endcapture %}{{ customer.first_name }}`, Text, testScope(""))
	f := tpl.newFrame(testVars(), nil)
	if err := f.nodes(tpl.nodes); err != nil {
		t.Fatal(err)
	}
	out := f.out[:cap(f.out)]
	if !bytes.Contains(out, []byte("Siti")) {
		t.Fatalf("nothing was rendered: %q", out)
	}
	f.release()
	if bytes.Contains(out, []byte("Siti")) {
		t.Errorf("the frame goes back with %q", out)
	}
}
