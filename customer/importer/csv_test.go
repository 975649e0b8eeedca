package importer

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// readAll renders each record as "line: [value] [value]", or "line! flaw".
func readAll(t *testing.T, in io.Reader, delimiter byte) []string {
	t.Helper()
	r := newCSVReader(in, delimiter)
	got := []string{}
	for {
		rec, err := r.next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		if rec.flaw != "" {
			got = append(got, fmt.Sprintf("%d! %s: %q", rec.line, rec.flaw, rec.raw))
			continue
		}
		got = append(got, fmt.Sprintf("%d: %q", rec.line, rec.fields))
	}
}

func TestRecords(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       []string
	}{
		{"plain", "a,b\n1,2\n", []string{`1: ["a" "b"]`, `2: ["1" "2"]`}},
		{"no line end at the end", "a,b\n1,2", []string{`1: ["a" "b"]`, `2: ["1" "2"]`}},
		{"empty values", "a,,\n,,\n", []string{`1: ["a" "" ""]`, `2: ["" "" ""]`}},
		{"line ends of Windows", "a,b\r\n1,2\r\n", []string{`1: ["a" "b"]`, `2: ["1" "2"]`}},
		{"line ends of old Macs", "a,b\r1,2\r", []string{`1: ["a" "b"]`, `2: ["1" "2"]`}},
		{"blank lines count, but are no records", "a\n\n\r\nb\n", []string{`1: ["a"]`, `4: ["b"]`}},
		{"quotes", `a,"b, ""c""",d` + "\n", []string{`1: ["a" "b, \"c\"" "d"]`}},
		{"a quoted empty value is a record", "\"\"\n", []string{`1: [""]`}},
		{"line ends inside quotes", "a,\"b\r\nc\"\nd,e\n", []string{`1: ["a" "b\r\nc"]`, `3: ["d" "e"]`}},
		{"spaces around quotes", "a, \"b,c\" ,d\n", []string{`1: ["a" "b,c" "d"]`}},
		{"a quote inside an unquoted value is itself", "5\" pipe,2\n", []string{`1: ["5\" pipe" "2"]`}},
		{
			"a lone quote inside quotes", "a,\"b\"c\"\nd,e\n",
			[]string{`1! a quote inside a quoted value must be written twice: "a,\"b\"c\""`, `2: ["d" "e"]`},
		},
		{
			"a quote that never ends costs its line only", "a,\"b\nc,d\ne,f\n",
			[]string{`1! a quoted value does not end: "a,\"b"`, `2: ["c" "d"]`, `3: ["e" "f"]`},
		},
		{
			"a quote that ends in another record", "1,\"x\n2,\"y\",z\n3,w\n",
			[]string{`1! a quote inside a quoted value must be written twice: "1,\"x"`, `2: ["2" "y" "z"]`, `3: ["3" "w"]`},
		},
		{"bytes that are not UTF-8", "a,\xe9\nb,c\n", []string{`1! some bytes are not valid UTF-8: "a,\xe9"`, `2: ["b" "c"]`}},
		{"a NUL", "a,b\x00\nb,c\n", []string{`1! contains a NUL byte, which PostgreSQL can't store: "a,b\x00"`, `2: ["b" "c"]`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, readAll(t, strings.NewReader(test.text), ',')); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.want, readAll(t, iotest.OneByteReader(strings.NewReader(test.text)), ',')); diff != "" {
				t.Errorf("records read byte by byte (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTabsAreNoSpaces(t *testing.T) {
	t.Parallel()
	want := []string{`1: ["a" "" "b" ""]`}
	if diff := cmp.Diff(want, readAll(t, strings.NewReader("a\t\t\"b\"\t\n"), '\t')); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func TestRecordWithoutEndIsBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3*maxRecord)
	got := readAll(t, strings.NewReader("a,b\n"+long+"\nc,d\n1,\"open\n"+strings.Repeat("p,q\n", maxRecord/2)), ',')
	flaw := fmt.Sprintf("the record is longer than %d bytes: is a quote missing?", maxRecord)
	if !strings.HasPrefix(got[1], "2! "+flaw) || got[2] != `3: ["c" "d"]` {
		t.Errorf("a long line: %.120q, then %q", got[1], got[2])
	}
	if want := fmt.Sprintf(`4! %s: "1,\"open"`, flaw); got[3] != want || got[4] != `5: ["p" "q"]` {
		t.Errorf("an open quote: %q, then %q; want %q", got[3], got[4], want)
	}
	if len(got) != 4+maxRecord/2 {
		t.Errorf("%d records, want %d", len(got), 4+maxRecord/2)
	}
}

// FuzzRecords holds the reader against encoding/csv, where that takes the text at all.
func FuzzRecords(f *testing.F) {
	for _, seed := range []string{"a,b\n1,2\n", "\"a\"\"b\",c\n\n\"x\ny\",", "a,\"b", ",,\n,\"\"\n", "\"a\"x,1\n2,3\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ContainsAny(text, "\r\x00") || strings.ToValidUTF8(text, "") != text || len(text) > 10_000 {
			t.Skip()
		}
		got := readAll(t, iotest.HalfReader(strings.NewReader(text)), ',')
		std := csv.NewReader(strings.NewReader(text))
		std.FieldsPerRecord = -1
		records, err := std.ReadAll()
		if err != nil {
			return // only that we came through
		}
		var want []string
		for _, fields := range records {
			want = append(want, fmt.Sprintf("%q", fields))
		}
		for i, line := range got {
			_, got[i], _ = strings.Cut(line, ": ")
		}
		if diff := cmp.Diff(strings.Join(want, "\n"), strings.Join(got, "\n")); diff != "" {
			t.Errorf("unlike encoding/csv (-want +got):\n%s", diff)
		}
	})
}

func TestDetectDelimiter(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"a,b\n1,2\n":                        ",",
		"a;b\n1,5;2,5\n3,5;4,5\n":           ";",
		"a\tb, c\n1\t2\n":                   "\t",
		"a|b\n1|2\n":                        "|",
		"name\nSiti\n":                      ",",
		"a;b,c\n1;2,3\n4;5,6\n":             ",",
		"name,note\nx,\"a;b;c\"\ny,\"d;e\"": ",",
		"name;note\nx;\"a, b, c\"\ny;d, e":  ";",
	}
	for text, want := range tests {
		if got := string(detectDelimiter([]byte(text), true)); got != want {
			t.Errorf("delimiter of %q is %q, want %q", text, got, want)
		}
	}
}
