package importer

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/unicode"
)

func november() time.Time { return time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC) }

// write makes a file in a folder of the test's own.
func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// inspect plans a file with the text; errors name it t.csv.
func inspect(t testing.TB, text string, opts Options) (*Plan, error) {
	t.Helper()
	src, err := Open(write(t, "t.csv", text), nil)
	if err != nil {
		return nil, err
	}
	src.Name = "t.csv"
	if opts.Table == "" {
		opts.Table = "t"
	}
	opts.Now = november
	return Inspect(t.Context(), src, opts)
}

// column is the file of one column with the values.
func column(header string, values ...string) string {
	lines := []string{header}
	for _, v := range values {
		lines = append(lines, `"`+strings.ReplaceAll(v, `"`, `""`)+`"`)
	}
	return strings.Join(lines, "\n") + "\n"
}

func times(n int, values ...string) []string {
	var all []string
	for range n {
		all = append(all, values...)
	}
	return all
}

func TestInfer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, header string
		values       []string
		want         string // type, format, notes
	}{
		{"whole numbers", "n", []string{"1", "-20", " 300 ", ""}, "bigint"},
		{"decimals", "n", []string{"1", "2.5"}, "numeric"},
		{"decimal commas", "n", []string{"1", "2,5"}, "numeric 1.234,56"},
		{"groups decide", "n", []string{"1,500", "1,234,567"}, "bigint"},
		{"a fraction decides on the ambiguous", "n", []string{"1,500", "2.5"}, "numeric"},
		{"and the other way", "n", []string{"1.500", "2,5"}, "numeric 1.234,56"},
		{"four digits behind a dot", "n", []string{"13.0863", "699.098"}, "numeric"},
		{"dollars", "income", []string{"$90,000 ", "$100,000 "}, "numeric"},
		{"rupiah", "harga", []string{"Rp 1.500", "Rp 12.000.000"}, "numeric 1.234,56"},
		{"percentages are text", "n", []string{"45%", "50%"}, "text"},
		{"leading zero", "n", []string{"01", "2"}, "text"},
		{"leading zero among many", "n", append(times(200, "12"), "007"), `text | n stays text: "007" (line 202) is no quantity`},
		{"leading plus", "n", []string{"+628123", "+628124"}, "text"},
		{"long digits", "n", []string{"1234567890123456789"}, "text"},
		{
			"a name that holds codes", "phone",
			[]string{"81234567", "81234568"},
			"text | phone stays text: a column with this name holds no quantities; --type phone=bigint makes it a number",
		},
		{"nothing", "n", []string{"", " ", "NA"}, `text | n: "NA" means missing (1 value)`},
		{"sizes", "size", []string{"44", "M", "L"}, "text"},
		{
			"one odd value of few", "n",
			[]string{"1", "2", "3", "4", "x"},
			`text | n stays text: 4 of 5 values are numbers, but not "x" (line 6); --type n=numeric would load the numbers and reject the rest`,
		},
		{
			"one odd value of many", "n", append(times(100, "1"), "x"),
			`bigint | n: 1 value is no bigint, as "x" on line 102: rejected unless --type n=text, or --null where a word means missing`,
		},

		{"yes and no", "b", []string{"Y", "N", ""}, "boolean"},
		{"ya and tidak", "b", []string{"Ya", "tidak"}, "boolean"},
		{"only yes", "b", []string{"Y", "Y"}, "text"},
		{"only true", "b", []string{"TRUE", "TRUE"}, "boolean"},
		{"yes, no and maybe", "b", []string{"Y", "N", "maybe"}, "text"},
		{"0 and 1 are numbers", "b", []string{"0", "1"}, "bigint"},
		{"M and F", "gender", []string{"M", "F", "NA"}, `text | gender: "NA" means missing (1 value)`},

		{"ISO dates", "d", []string{"2021-01-13", "2021-02-01"}, "date YYYY-MM-DD"},
		{"month first", "d", []string{"01/02/2021", "01/13/2021"}, "date MM/DD/YYYY"},
		{"day first", "d", []string{"01/02/2021", "13/01/2021"}, "date DD/MM/YYYY"},
		{"two patterns, each decided", "d", []string{"01-13-21", "01/13/2021"}, "date MM-DD-YY,MM/DD/YYYY"},
		{"two patterns, differently", "d", []string{"13.01.2021", "01/13/2021"}, "date DD.MM.YYYY,MM/DD/YYYY"},
		{
			"torn by a spreadsheet", "d", append(times(2, "01-02-21", "12-01-21"), times(1, "01/13/2021", "02/14/2021", "03/15/2021", "04/16/2021", "05/17/2021")...),
			`date MM/DD/YYYY,MM-DD-YY | d: "01-02-21" is read as MM-DD-YY, for only the days past 12 are written otherwise, as spreadsheets leave them; --type d=date:MM/DD/YYYY,MM-DD-YY says so for good`,
		},
		{
			"torn the other way", "d", append(times(2, "01/02/2021"), times(5, "13.01.2021")...),
			`date DD.MM.YYYY,DD/MM/YYYY | d: "01/02/2021" is read as DD/MM/YYYY, for only the days past 12 are written otherwise, as spreadsheets leave them; --type d=date:DD.MM.YYYY,DD/MM/YYYY says so for good`,
		},
		{"years of two digits at the end", "d", []string{"13-01-85", "01-02-99"}, "date DD-MM-YY"},
		{"years of two digits at the beginning", "d", []string{"85-01-13", "99-02-01"}, "date YY-MM-DD"},
		{"few years at the end", "d", []string{"13-01-21", "14-02-21", "25-12-22", "03-04-22", "28-05-22"}, "date DD-MM-YY"},
		{"a later day says that nothing was swapped", "d", append(times(5, "2021-02-01", "2021-02-13"), times(5, "01/13/2021")...), "date YYYY-MM-DD,MM/DD/YYYY"},
		{"months by name", "d", []string{"13 Jan 2021", "Mei 5, 2021"}, "date DD MON YYYY,MON DD YYYY"},
		{
			"no such day", "d", append(times(9, "01/13/2021"), "02/30/2021", "13/13/2021"),
			`date MM/DD/YYYY | d: 2 values are no date, as "02/30/2021" on line 11: rejected unless --type d=text, or --null where a word means missing`,
		},
		{"times", "d", []string{"2021-01-13 08:30:00", "2021-01-14"}, "timestamp YYYY-MM-DD"},
		{"midnights are dates", "d", []string{"2021-01-13 00:00:00", "2021-01-14 00:00:00.000"}, "date YYYY-MM-DD"},
		{"zones", "d", []string{"2021-01-13T08:30:00Z", "2021-01-14T00:00:00+07:00"}, "timestamptz YYYY-MM-DD"},
		{"digits are no date", "d", []string{"20210113"}, "bigint"},
		{"no date of MySQL", "d", []string{"2021-01-13", "0000-00-00"}, `date YYYY-MM-DD | d: "0000-00-00" means missing (1 value)`},
		{"phone numbers with hyphens", "n", []string{"697-555-0142", "1 (11) 500 555-0162"}, "text"},
		{"versions", "v", []string{"1.2.21", "99.99.12", "99.98.12"}, "text"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			plan, err := inspect(t, column(test.header, test.values...), Options{})
			if err != nil {
				t.Fatal(err)
			}
			c := plan.Columns[0]
			got := strings.TrimSpace(string(c.Type) + " " + c.Format)
			if len(plan.Notes) > 0 {
				got += " | " + strings.Join(plan.Notes, " | ")
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("inferred (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDangerousGuessesAreAsked(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, header string
		values       []string
		want         string
	}{
		{"thousands or a fraction", "Berat", []string{"1.500", "2.250"}, `t.csv: column Berat: "1.500" (line 2) may be a fraction or thousands: no value of the column decides
     say which: --type Berat=numeric:1,234.56
            or: --type Berat=numeric:1.234,56`},
		{"the same with commas", "n", []string{"7", "1,500"}, `t.csv: column n: "1,500" (line 3) may be a fraction or thousands: no value of the column decides
     say which: --type n=numeric:1,234.56
            or: --type n=numeric:1.234,56`},
		{"fuel at $3.459", "n", []string{"$3.459"}, `t.csv: column n: "$3.459" (line 2) may be a fraction or thousands: no value of the column decides
     say which: --type n=numeric:1,234.56
            or: --type n=numeric:1.234,56`},
		{"both notations", "n", []string{"1,5", "2.5"}, `t.csv: column n: "2.5" (line 3) is written like 1,234.56, but "1,5" (line 2) like 1.234,56
     say which: --type n=numeric:1,234.56
            or: --type n=numeric:1.234,56`},
		{"two currencies", "n", []string{"$5", "€6"}, `t.csv: column n: amounts in several currencies: "$5" (line 2), but "€6" (line 3)
     say which: --type n=text
            or: --type n=numeric:1,234.56
            or: --type n=numeric:1.234,56`},
		{"day or month", "Order Date", []string{"01/02/2021", "12/12/2021"}, `t.csv: column Order Date: which number of "01/02/2021" (line 2) is the month? No value of the column decides
     say which: --type order_date=date:MM/DD/YYYY
            or: --type order_date=date:DD/MM/YYYY
            or: --type order_date=text`},
		{"day or month of one pattern", "d", []string{"01-02-21", "01/13/2021"}, `t.csv: column d: which number of "01-02-21" (line 2) is the month? No value of the column decides
     say which: --type d=date:MM/DD/YYYY,MM-DD-YY
            or: --type d=date:MM/DD/YYYY,DD-MM-YY
            or: --type d=date:MM/DD/YYYY,YY-MM-DD
            or: --type d=text`},
		{
			"not torn, for one small day has the other pattern", "d", append(times(9, "01/13/2021"), "01/12/2021", "03.04.2021"),
			`t.csv: column d: which number of "03.04.2021" (line 12) is the month? No value of the column decides
     say which: --type d=date:MM/DD/YYYY,MM.DD.YYYY
            or: --type d=date:MM/DD/YYYY,DD.MM.YYYY
            or: --type d=text`,
		},
		{"day or year", "d", []string{"13-01-21", "14-01-22"}, `t.csv: column d: which number of "13-01-21" (line 2) is the month? No value of the column decides
     say which: --type d=date:DD-MM-YY
            or: --type d=date:YY-MM-DD
            or: --type d=text`},
		{
			"the first day of each month, year first", "d",
			[]string{"13-01-01", "14-02-01", "15-03-01", "16-04-01"},
			`t.csv: column d: which number of "13-01-01" (line 2) is the month? No value of the column decides
     say which: --type d=date:DD-MM-YY
            or: --type d=date:YY-MM-DD
            or: --type d=text`,
		},
		{"day and month swapped by a spreadsheet", "d", append(times(5, "2021-02-01"), times(5, "01/13/2021")...), `t.csv: column d: "2021-02-01" (line 2) may have day and month in each other's place: only the days past 12 are written otherwise, as spreadsheets leave dates that they misread
     say which: --type d=date:YYYY-MM-DD,MM/DD/YYYY
            or: --type d=date:YYYY-DD-MM,MM/DD/YYYY
            or: --type d=text`},
		{"month first and day first", "d", []string{"01/13/2021", "13/01/2021"}, `t.csv: column d: "01/13/2021" (line 2) has the month first, but "13/01/2021" (line 3) the day
     say which: --type d=date:MM/DD/YYYY
            or: --type d=date:DD/MM/YYYY
            or: --type d=text`},
		{"some with a zone", "d", []string{"2021-01-13T08:00:00Z", "2021-01-13T08:00:00"}, `t.csv: column d: "2021-01-13T08:00:00Z" (line 2) has a time zone, but "2021-01-13T08:00:00" (line 3) has none
     say which: --type d=timestamptz (without a zone: UTC)
            or: --type d=text`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := inspect(t, column(test.header, test.values...), Options{})
			var questions *Questions
			if !errors.As(err, &questions) {
				t.Fatalf("error %v, want questions", err)
			}
			if diff := cmp.Diff(test.want, err.Error()); diff != "" {
				t.Errorf("question (-want +got):\n%s", diff)
			}
			for _, flag := range questions.List[0].Flags {
				mustAnswer(t, column(test.header, test.values...), flag)
			}
		})
	}
}

// mustAnswer types what a question proposes.
func mustAnswer(t *testing.T, text, flag string) {
	t.Helper()
	spec, _, _ := strings.Cut(strings.Trim(strings.TrimPrefix(flag, "--type "), "'"), " (")
	plan, err := inspect(t, text, Options{Types: []string{spec}})
	if err != nil {
		t.Errorf("%s: %v", flag, err)
		return
	}
	if !plan.Columns[0].Overridden {
		t.Errorf("%s: column is not marked as overridden", flag)
	}
}

func TestAllQuestionsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := inspect(t, "a,b,c\n1.500,01/02/2021,x\n", Options{})
	want := `t.csv: column a: "1.500" (line 2) may be a fraction or thousands: no value of the column decides
     say which: --type a=numeric:1,234.56
            or: --type a=numeric:1.234,56
t.csv: column b: which number of "01/02/2021" (line 2) is the month? No value of the column decides
     say which: --type b=date:MM/DD/YYYY
            or: --type b=date:DD/MM/YYYY
            or: --type b=text`
	if err == nil || err.Error() != want {
		t.Errorf("error:\n%v\nwant:\n%s", err, want)
	}
}

func TestInspectErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		opts       Options
		want       string
	}{
		{"empty", "", Options{}, "%s is empty"},
		{"only a byte order mark", "\xef\xbb\xbf", Options{}, "t.csv is empty"},
		{"only names", "a,b\n", Options{}, "t.csv has column names, but no rows"},
		{"workbook", "PK\x03\x04....", Options{}, "%s is a workbook or a zip archive, not a CSV file: save the sheet as CSV, or unpack the archive"},
		{"no names", "1,jon@example.com,x\n2,eve@example.com,y\n", Options{}, `t.csv:1: "1,jon@example.com,x" is no line of column names: put one above it`},
		{"names with a flaw", "a,\"b\"c\n1,2\n", Options{}, "t.csv:1: the line of column names: a quote inside a quoted value must be written twice"},
		{"schema in the table's name", "a\nb\n", Options{Table: "public.t"}, `table "public.t": name it without a schema; imported tables live in schema data`},
		{"capitals in the table's name", "a\nb\n", Options{Table: "MyTable"}, `table "MyTable": use small letters, digits and _, such as my_table`},
		{"unknown key", "CustomerKey,b\n1,2\n", Options{Key: []string{"CustomerKy"}}, `key "CustomerKy": the file has no column "CustomerKy": did you mean "CustomerKey"?`},
		{"key twice", "CustomerKey,b\n1,2\n", Options{Key: []string{"CustomerKey", "customer_key"}}, `key "customer_key": column CustomerKey is named twice`},
		{"override of an unknown column", "a,b\n1,2\n", Options{Types: []string{"c=text"}}, `type "c=text": the file has no column "c": did you mean "a"?`},
		{"override without a type", "a,b\n1,2\n", Options{Types: []string{"a"}}, `type "a": say COLUMN=TYPE or COLUMN=TYPE:FORMAT, such as BirthDate=date:MM/DD/YYYY`},
		{"override by an unknown type", "a,b\n1,2\n", Options{Types: []string{"a=dat"}}, `type "a=dat": unknown type "dat": did you mean "date"?`},
		{"override by an unknown format", "a,b\n1,2\n", Options{Types: []string{"a=date:MM/DD"}}, `type "a=date:MM/DD": unknown date format "MM/DD": say for example MM/DD/YYYY, DD.MM.YYYY, DD-MM-YY, YYYY-MM-DD, YYYYMMDD or 'DD MON YYYY', several with commas between them`},
		{"override by two formats of one shape", "a,b\n1,2\n", Options{Types: []string{"a=date:MM/DD/YYYY,DD/MM/YYYY"}}, `type "a=date:MM/DD/YYYY,DD/MM/YYYY": two formats of one shape: DD/MM/YYYY and another`},
		{"override by a number that is none", "a,b\n1,2\n", Options{Types: []string{"a=numeric:12"}}, `type "a=numeric:12": unknown number format "12": say 1,234.56 or 1.234,56 or '1 234,56'`},
		{"override twice", "a,b\n1,2\n", Options{Types: []string{"a=text", "A=text"}}, `type "A=text": column a has two types`},
		{"format of a text", "a,b\n1,2\n", Options{Types: []string{"a=text:x"}}, `type "a=text:x": text has no format`},
		{"unknown encoding", "a\nb\n", Options{Encoding: "ebcdic"}, `unknown encoding "ebcdic": say utf-8, utf-16, windows-1252 or latin-1`},
		{"unknown delimiter", "a\nb\n", Options{Delimiter: "::"}, `unknown delimiter "::": say one character, such as ',' or ';' or '|', or tab`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := inspect(t, test.text, test.opts)
			if err == nil {
				t.Fatal("no error")
			}
			want := strings.ReplaceAll(test.want, "%s", lastPath(err.Error()))
			if diff := cmp.Diff(want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

// lastPath is the path with which a message begins.
func lastPath(message string) string {
	path, _, _ := strings.Cut(message, " ")
	return path
}

func TestEncodings(t *testing.T) {
	t.Parallel()
	const text = "nama;kota\nJosé;Málaga\nZoë;“Köln”\n"
	utf16le := mustUTF16(t, text, unicode.LittleEndian)
	utf16be := mustUTF16(t, text, unicode.BigEndian)
	cp1252 := "nama;kota\nJos\xe9;M\xe1laga\nZo\xeb;\x93K\xf6ln\x94\n"
	tests := []struct {
		name, bytes, encoding string
		want                  string // encoding, examples
	}{
		{"UTF-8", text, "", "UTF-8 [José Zoë] [Málaga “Köln”]"},
		{"UTF-8 with a mark", "\xef\xbb\xbf" + text, "", "UTF-8 [José Zoë] [Málaga “Köln”]"},
		{"UTF-8 with a mark, said", "\xef\xbb\xbf" + text, "utf-8", "UTF-8 [José Zoë] [Málaga “Köln”]"},
		{"Windows-1252", cp1252, "", "Windows-1252 [José Zoë] [Málaga “Köln”]"},
		{"Windows-1252 said", cp1252, "cp1252", "Windows-1252 [José Zoë] [Málaga “Köln”]"},
		{"Latin-1 said", "nama;kota\nJos\xe9;M\xe1laga\n", "latin-1", "Latin-1 [José] [Málaga]"},
		{"UTF-16 little end first", utf16le, "", "UTF-16 [José Zoë] [Málaga “Köln”]"},
		{"UTF-16 big end first", utf16be, "", "UTF-16 [José Zoë] [Málaga “Köln”]"},
		{"one broken byte in UTF-8", text + "Br\xe9da;Utrecht\n", "", "UTF-8 [José Zoë] [Málaga “Köln”]"},
		{"compressed", mustGzip(t, text), "", "UTF-8 [José Zoë] [Málaga “Köln”]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			plan, err := inspect(t, test.bytes, Options{Encoding: test.encoding})
			if err != nil {
				t.Fatal(err)
			}
			if len(plan.Columns) != 2 || plan.Columns[0].Header != "nama" {
				t.Fatalf("columns %+v", plan.Columns)
			}
			got := fmt.Sprint(plan.Encoding, " ", plan.Columns[0].Examples, " ", plan.Columns[1].Examples)
			if got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func TestGuessedEncodingIsSaid(t *testing.T) {
	t.Parallel()
	plan, err := inspect(t, "name\n"+strings.Repeat("x\n", blockSize)+"Jos\xe9\n", Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`the bytes are not UTF-8: read as Windows-1252, so that one value is "José"; say --encoding if that is wrong`}
	if diff := cmp.Diff(want, plan.Notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

// A letter that lies across two blocks is one letter.
func TestLettersAcrossBlocks(t *testing.T) {
	t.Parallel()
	for before := blockSize - 5; before <= blockSize; before++ {
		enc, err := detectEncoding(strings.NewReader(strings.Repeat("x", before) + "😀\n"))
		if err != nil || enc.name != "UTF-8" {
			t.Errorf("behind %d bytes: %s, %v", before, enc.name, err)
		}
	}
}

func mustUTF16(t *testing.T, text string, order unicode.Endianness) string {
	t.Helper()
	bytes, err := unicode.UTF16(order, unicode.UseBOM).NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

func mustGzip(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestSmallThings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		opts       Options
		want       string // rows, then name:type of each column, then notes
	}{
		{"ragged rows are counted, but infer nothing", "a,b\n1,2\n3\n4,5,6\n7,8,,\n", Options{}, "4 a:bigint b:bigint"},
		{"delimiter at each line's end", "a,b,\n1,2,\n3,4,\n", Options{}, "2 a:bigint b:bigint | column 3 has no name: it is called column_3 | column 3 has neither a name nor a value: left out"},
		{"column without a name", "a,\n1,x\n", Options{}, "1 a:bigint column_2:text | column 2 has no name: it is called column_2"},
		{"the same name twice", "a,A\n1,x\n", Options{}, "1 a:bigint a_2:text | column 2 is a second a: it is called a_2"},
		{"what Excel writes above", "sep=;\na;b\n1;2\n", Options{}, "1 a:bigint b:bigint"},
		{"delimiter said", "a,b;c\n1,2;3\n", Options{Delimiter: ";"}, `1 a_b:numeric c:bigint`},
		{"tab said", "a\tb\n1\t2\n", Options{Delimiter: "tab"}, `1 a:bigint b:bigint`},
		{"words that mean missing", "a,b\n1,?\nNA,x\n", Options{Null: []string{"?"}}, `2 a:text b:text | b: "?" means missing (1 value)`},
		{"year as a name", "City,2021,2022\nSolo,1,2\n", Options{}, "1 city:text _2021:bigint _2022:bigint"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			plan, err := inspect(t, test.text, test.opts)
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprint(plan.Rows)
			for _, c := range plan.Columns {
				got += fmt.Sprintf(" %s:%s", c.Name, c.Type)
			}
			if len(plan.Notes) > 0 {
				got += " | " + strings.Join(plan.Notes, " | ")
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	gone := filepath.Join(t.TempDir(), "gone.csv")
	if _, err := Open(gone, nil); err == nil || err.Error() != "there is no file "+gone+"; name a CSV file, or - for standard input" {
		t.Errorf("a file that is not there: %v", err)
	}
	dir := t.TempDir()
	if _, err := Open(dir, nil); err == nil || err.Error() != dir+" is a folder: name one CSV file" {
		t.Errorf("a folder: %v", err)
	}
	src, err := Open("-", strings.NewReader("a,b\n1,2\n"))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := Inspect(t.Context(), src, Options{Table: "t"})
	if err != nil || plan.Rows != 1 || src.Name != "standard input" {
		t.Errorf("standard input %q: %+v, %v", src.Name, plan, err)
	}
	if err := src.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(src.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the copy of standard input is still there: %v", err)
	}
}

func TestCutGzip(t *testing.T) {
	t.Parallel()
	packed := mustGzip(t, "a,b\n"+strings.Repeat("1,2\n", 1000))
	_, err := inspect(t, packed[:len(packed)-20], Options{})
	if err == nil || err.Error() != "read t.csv: unexpected EOF" {
		t.Errorf("error %v", err)
	}
}
