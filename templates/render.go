package templates

import (
	"fmt"
	"sync"
)

// Limits of one rendering. A step is a node or an iteration, and more where a filter handles long texts.
const (
	MaxOutput = 1 << 20 // bytes
	maxSteps  = 200_000
	maxRange  = 1000 // numbers in (a..b)
)

// frame is the state of one rendering.
type frame struct {
	t      *Template
	vars   map[string]any
	link   func(int, string) string
	locale *locale
	slots  []any // locals
	cycles []int
	loops  []loop
	out    []byte
	steps  int
	jump   jump
}

// loop is the state of a for.
type loop struct{ index, length int }

// jump is a break or continue on its way to its for.
type jump int

const (
	noJump jump = iota
	breaking
	continuing
)

// failure is an error at a place of the template.
type failure struct {
	at  pos
	err error
}

func (e *failure) Error() string { return e.err.Error() }
func (e *failure) Unwrap() error { return e.err }

func fail(at pos, format string, args ...any) error {
	return &failure{at, fmt.Errorf(format, args...)}
}

var frames = sync.Pool{New: func() any { return new(frame) }}

func (t *Template) newFrame(vars map[string]any, link func(int, string) string) *frame {
	f := frames.Get().(*frame)
	f.t, f.vars, f.link = t, vars, link
	f.locale = t.localeOf(vars)
	f.slots = resize(f.slots, t.slots)
	f.cycles = resize(f.cycles, t.cycles)
	f.loops, f.out, f.steps, f.jump = f.loops[:0], f.out[:0], 0, noJump
	return f
}

// release gives the frame back without what it held of a person.
func (f *frame) release() {
	clear(f.slots)
	clear(f.out[:cap(f.out)])
	if cap(f.out) > 1<<17 {
		f.out = nil
	}
	f.vars, f.link, f.t = nil, nil, nil
	frames.Put(f)
}

func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	s = s[:n]
	clear(s)
	return s
}

// spend counts steps.
func (f *frame) spend(n int) error {
	if f.steps += n; f.steps > maxSteps {
		return fmt.Errorf("the template takes more than %d steps", maxSteps)
	}
	if len(f.out) > MaxOutput {
		return fmt.Errorf("the message is longer than %d bytes", MaxOutput)
	}
	return nil
}

func (f *frame) nodes(nodes []node) error {
	for _, n := range nodes {
		if err := f.spend(1); err != nil {
			return &failure{place(n), err}
		}
		if err := n.render(f); err != nil || f.jump != noJump {
			return err
		}
	}
	return nil
}

func (n *textNode) render(f *frame) error {
	f.out = append(f.out, n.text...)
	return nil
}

func (n *outNode) render(f *frame) error {
	v, err := n.e.eval(f)
	if err != nil {
		return err
	}
	if v == nil {
		return &failure{n.at, &missing{f.missing(n.e)}}
	}
	before := len(f.out)
	if f.out, err = appendValue(f.out, v, n.esc); err != nil {
		return &failure{n.e.place(), err}
	}
	f.steps += (len(f.out) - before) >> 8
	return nil
}

func (n *ifNode) render(f *frame) error {
	for _, b := range n.branches {
		if b.cond != nil {
			v, err := b.cond.eval(f)
			if err != nil {
				return err
			}
			if truthy(v) == b.negate {
				continue
			}
		}
		return f.nodes(b.body)
	}
	return nil
}

func (n *caseNode) render(f *frame) error {
	subject, err := n.subject.eval(f)
	if err != nil {
		return err
	}
	for _, w := range n.whens {
		ok, err := w.matches(f, subject)
		if err != nil {
			return err
		}
		if ok {
			return f.nodes(w.body)
		}
	}
	return nil
}

func (w *when) matches(f *frame, subject any) (bool, error) {
	for _, e := range w.values {
		v, err := e.eval(f)
		if err != nil || equal(subject, v) {
			return err == nil, err
		}
	}
	return len(w.values) == 0, nil
}

func (n *forNode) render(f *frame) error {
	elements, err := n.elements(f)
	if err != nil {
		return err
	}
	if len(elements) == 0 {
		return f.nodes(n.none)
	}
	f.loops = append(f.loops, loop{length: len(elements)})
	defer func() { f.loops = f.loops[:len(f.loops)-1] }()
	for i := range elements {
		v := elements[i]
		if n.reversed {
			v = elements[len(elements)-1-i]
		}
		f.slots[n.slot] = plain(v)
		f.loops[len(f.loops)-1].index = i
		if err := f.spend(1); err != nil {
			return &failure{n.at, err}
		}
		if err := f.nodes(n.body); err != nil {
			return err
		}
		stop := f.jump == breaking
		f.jump = noJump
		if stop {
			return nil
		}
	}
	return nil
}

// elements are what the loop runs over: offset and limit count from the list's start, as in Liquid.
func (n *forNode) elements(f *frame) ([]any, error) {
	v, err := n.list.eval(f)
	if err != nil || v == nil {
		return nil, err
	}
	elements, ok := v.([]any)
	if !ok {
		return nil, fail(n.list.place(), "for needs a list, and this is %s", kindOf(v))
	}
	from, err := n.count(f, n.offset, 0)
	if err != nil {
		return nil, err
	}
	elements = elements[min(from, len(elements)):]
	limit, err := n.count(f, n.limit, len(elements))
	if err != nil {
		return nil, err
	}
	return elements[:min(limit, len(elements))], nil
}

func (n *forNode) count(f *frame, e expr, otherwise int) (int, error) {
	if e == nil {
		return otherwise, nil
	}
	v, err := e.eval(f)
	if err != nil {
		return 0, err
	}
	i, ok := v.(int64)
	if !ok {
		return 0, fail(e.place(), "a whole number is needed, and this is %s", kindOf(v))
	}
	return int(max(0, min(i, MaxOutput))), nil
}

func (n *assignNode) render(f *frame) error {
	v, err := n.e.eval(f)
	f.slots[n.slot] = v
	return err
}

func (n *captureNode) render(f *frame) error {
	start := len(f.out)
	if err := f.nodes(n.body); err != nil {
		return err
	}
	s := string(f.out[start:])
	f.out = f.out[:start]
	f.slots[n.slot] = s
	if n.html {
		f.slots[n.slot] = markup(s)
	}
	return nil
}

func (n *cycleNode) render(f *frame) error {
	f.out = append(f.out, n.values[f.cycles[n.slot]%len(n.values)]...)
	f.cycles[n.slot]++
	return nil
}

func (n *breakNode) render(f *frame) error {
	f.jump = breaking
	return nil
}

func (n *continueNode) render(f *frame) error {
	f.jump = continuing
	return nil
}

func (n *linkBlock) render(f *frame) error { return f.nodes(n.body) }

func (n *linkNode) render(f *frame) error {
	query, err := n.personal(f)
	if err != nil {
		return err
	}
	var target string
	if f.link != nil {
		target = f.link(n.index, query)
	} else {
		target = Target(n.url, query)
	}
	if n.html {
		f.out = appendHTML(f.out, target)
	} else {
		f.out = append(f.out, target...)
	}
	return nil
}

// personal renders the part of the query that differs from person to person.
func (n *linkNode) personal(f *frame) (string, error) {
	if n.query == nil {
		return "", nil
	}
	start := len(f.out)
	err := f.nodes(n.query)
	query := string(f.out[start:])
	f.out = f.out[:start]
	return query, err
}

func (pixelNode) render(f *frame) error {
	if f.link == nil {
		return nil
	}
	if src := f.link(Pixel, ""); src != "" {
		f.out = append(f.out, `<img src="`...)
		f.out = appendHTML(f.out, src)
		f.out = append(f.out, `" width="1" height="1" alt="" style="display:block;border:0">`...)
	}
	return nil
}
