package templates

import (
	"bytes"
	"compress/gzip"
	_ "embed" // the compiler
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"time"

	"github.com/dop251/goja"
)

// mjmlBundle is lib/index.js of npm's mjml-browser 4.18.0, as it is; the licence is beside it.
//
//go:embed mjml/mjml-browser-4.18.0.js.gz
var mjmlBundle []byte

// mjmlRunner runs MJML's own compiler, a JavaScript program, one compilation at a time.
type mjmlRunner struct {
	limit  time.Duration // of one compilation
	memory uint64        // bytes that the process may grow by meanwhile

	mu      sync.Mutex
	program *goja.Program
	vm      *goja.Runtime // nil: to be made anew
	run     goja.Callable
	tags    *mjmlTags
}

// theMJML is the process's only compiler: it takes a second to load and 15 MB. Until something is compiled it is empty.
var theMJML = &mjmlRunner{limit: time.Minute, memory: 512 << 20}

// mjmlMade is what the compiler makes.
type mjmlMade struct {
	HTML   string      `json:"html"`
	Errors []mjmlError `json:"errors"`
}

// maxCalls bounds the depth of calls in the compiler: Go ends a process that runs out of stack.
const maxCalls = 2000

// require stands in the bundle once, where its loader is made; behind it, the bundle's own modules can be reached.
const require, requireKept = `__webpack_require__.p=""`, `__webpack_require__.p="",window.bundleRequire=__webpack_require__`

// glue makes functions around the bundle that take and give text. Fonts are loaded from elsewhere only where the author
// says so with <mj-font>: by default MJML would fetch some from Google at every opening.
const glue = `
(function () {
	var components = bundleRequire(10).components, children = {}, attributes = {mjml: {lang: "string", dir: "string", owa: "string"}}, endings = [];
	var dependencies = bundleRequire(516).default;
	for (var tag in components) {
		attributes[tag] = components[tag].allowedAttributes || {};
		if (components[tag].endingTag) endings.push(tag);
	}
	for (var parent in dependencies) {
		children[parent] = dependencies[parent].filter(function (d) { return typeof d === "string"; });
	}
	tags = JSON.stringify({attributes: attributes, children: children, endings: endings});
	compile = function (source) {
		var made = mjml(source, {validationLevel: "soft", fonts: {}, keepComments: false, ignoreIncludes: true});
		return JSON.stringify({html: made.html, errors: made.errors});
	};
})()`

// knowledge is what the compiler knows of its tags.
func (r *mjmlRunner) knowledge() (*mjmlTags, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.load(); err != nil {
		return nil, err
	}
	return r.tags, nil
}

// compile makes HTML of MJML. What the compiler finds wrong is in Errors; the error says that it could not do its work.
func (r *mjmlRunner) compile(source string) (*mjmlMade, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.load(); err != nil {
		return nil, err
	}
	text, err := r.call(source)
	if err != nil {
		return nil, err
	}
	made := &mjmlMade{}
	if err := json.Unmarshal([]byte(text), made); err != nil {
		return nil, fmt.Errorf("read what MJML made: %w", err)
	}
	return made, nil
}

var (
	errMJMLSlow  = errors.New("MJML did not come to an end; shorten the file")
	errMJMLLarge = errors.New("MJML needs too much memory for it; shorten the file")
	errMJMLDeep  = errors.New("MJML can't follow what is nested in it; shorten the file")
)

// call runs the compiler. One that was stopped is thrown away, because nobody knows what it left behind.
func (r *mjmlRunner) call(source string) (text string, err error) {
	unwatch := r.watch(r.vm)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("internal error of MJML: %v", p)
		}
		if unwatch() || err != nil {
			r.vm = nil
		}
	}()
	value, err := r.run(goja.Undefined(), r.vm.ToValue(source))
	if err != nil {
		return "", explainMJML(err)
	}
	return value.String(), nil
}

func explainMJML(err error) error {
	if stopped, ok := errors.AsType[*goja.InterruptedError](err); ok {
		if why, ok := stopped.Value().(error); ok {
			return why
		}
	}
	if _, ok := errors.AsType[*goja.StackOverflowError](err); ok {
		return errMJMLDeep
	}
	if thrown, ok := errors.AsType[*goja.Exception](err); ok {
		return fmt.Errorf("MJML: %s", thrown.Value())
	}
	return fmt.Errorf("run MJML: %w", err)
}

// memoryEvery is how often memory is measured while the compiler runs, which takes some microseconds.
const memoryEvery = 50 * time.Millisecond

// watch stops the compiler at its limits. What it returns ends that, and says whether a limit was reached.
func (r *mjmlRunner) watch(vm *goja.Runtime) (end func() (stopped bool)) {
	done, ended := make(chan struct{}), make(chan bool, 1)
	go func() {
		before, slow, look := heapBytes(), time.NewTimer(r.limit), time.NewTicker(memoryEvery)
		defer slow.Stop()
		defer look.Stop()
		for {
			select {
			case <-done:
				ended <- false
				return
			case <-slow.C:
				vm.Interrupt(errMJMLSlow)
			case <-look.C:
				if heapBytes() < before+r.memory {
					continue
				}
				if runtime.GC(); heapBytes() < before+r.memory { // that was garbage
					continue
				}
				vm.Interrupt(errMJMLLarge)
			}
			ended <- true
			return
		}
	}()
	return func() bool {
		close(done)
		return <-ended
	}
}

// heapBytes is what the process's heap takes, with what the collector has not found yet.
func heapBytes() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// load makes the compiler ready.
func (r *mjmlRunner) load() error {
	if r.vm != nil {
		return nil
	}
	if r.program == nil {
		program, err := mjmlProgram()
		if err != nil {
			return fmt.Errorf("load MJML: %w", err)
		}
		r.program = program
	}
	vm := goja.New()
	vm.SetMaxCallStackSize(maxCalls)
	if err := r.start(vm); err != nil {
		return fmt.Errorf("start MJML: %w", err)
	}
	r.vm = vm
	return nil
}

func mjmlProgram() (*goja.Program, error) {
	z, err := gzip.NewReader(bytes.NewReader(mjmlBundle))
	if err != nil {
		return nil, err
	}
	source, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	return goja.Compile("mjml-browser.js", strings.Replace(string(source), require, requireKept, 1), false)
}

// start gives the bundle what it expects of a browser, which is its window and a console, and nothing more.
func (r *mjmlRunner) start(vm *goja.Runtime) error {
	if err := vm.Set("window", vm.GlobalObject()); err != nil {
		return err
	}
	if _, err := vm.RunString(`var tags, compile, console = {log: function () {}, warn: function () {}, error: function () {}}`); err != nil {
		return err
	}
	if _, err := vm.RunProgram(r.program); err != nil {
		return err
	}
	if _, err := vm.RunString(glue); err != nil {
		return err
	}
	run, ok := goja.AssertFunction(vm.Get("compile"))
	if !ok {
		return errors.New("it has no function to compile")
	}
	r.run, r.tags = run, &mjmlTags{endings: map[string]bool{"mj-html-attribute": true}} // whose content is a value
	if err := json.Unmarshal([]byte(vm.Get("tags").String()), r.tags); err != nil {
		return err
	}
	for _, tag := range r.tags.Endings {
		r.tags.endings[tag] = true
	}
	return nil
}
