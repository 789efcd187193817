package results

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"slices"
)

//go:embed page.html
var pageText string

// colors is how many the page has for engines; further ones share them.
const colors = 6

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// page is what the template shows.
type page struct {
	Record   *Record
	Title    string
	Facts    [][2]string
	Legend   []legend
	Sections []section
	Heads    []head
	Rows     []row
}

type legend struct {
	Color int
	Name  string
}

type section struct {
	Title, Text string
	Charts      []figure
}

type figure struct {
	Caption string
	SVG     template.HTML
}

type head struct {
	Name, Help string
	Text       bool
}

type row struct {
	Color int
	Cells []cell
}

type cell struct {
	Value  string
	Text   bool
	Engine bool
}

// HTML is the record as one page that loads nothing.
func (r *Record) HTML() ([]byte, error) {
	p := page{Record: r, Title: "Proving benchmark, " + r.Started.UTC().Format("2 January 2006"), Facts: r.facts()}
	engines := distinct(r.Results, func(e *Result) string { return e.Engine })
	for i, name := range engines {
		p.Legend = append(p.Legend, legend{i % colors, name})
	}
	p.Sections = r.sections(engines)
	shown := r.shown()
	for _, c := range shown {
		p.Heads = append(p.Heads, head{c.head, c.help, c.text})
	}
	for i := range r.Results {
		one := row{Color: slices.Index(engines, r.Results[i].Engine) % colors}
		for _, c := range shown {
			one.Cells = append(one.Cells, cell{c.cell(&r.Results[i]), c.text, c.head == "engine"})
		}
		p.Rows = append(p.Rows, one)
	}
	var out bytes.Buffer
	if err := pageTemplate.Execute(&out, p); err != nil {
		return nil, fmt.Errorf("results page: %w", err)
	}
	return out.Bytes(), nil
}

var modeTexts = map[string]string{
	"cold":   "A new engine for every proof: the key is read from disk each time.",
	"warm":   "The key is resident; the circuit is solved already.",
	"queued": "Tasks arrive at random at a fixed rate, and each is solved and proved. Latency counts from the moment at which a task was to arrive.",
}

// sections are the charts of each mode.
func (r *Record) sections(engines []string) []section {
	var out []section
	for _, mode := range distinct(r.Results, func(e *Result) string { return e.Mode }) {
		out = append(out, section{
			Title:  "Time for a proof, " + mode,
			Text:   modeTexts[mode] + " Dots are medians, lines reach from the fastest to the slowest proof; the scale is logarithmic.",
			Charts: r.charts(mode, engines, (*chart).times),
		})
		if slices.ContainsFunc(r.Results, func(e Result) bool { return e.Mode == mode && e.VsReference != 0 }) {
			out = append(out, section{
				Title:  "Against " + Reference + ", " + mode,
				Text:   Reference + "'s median time over the engine's. Above 1 the engine is faster.",
				Charts: r.charts(mode, without(engines, Reference), (*chart).ratios),
			})
		}
		out = append(out, section{
			Title:  "Throughput, " + mode,
			Text:   "Constraints of verified proofs for each second of the measurement.",
			Charts: r.charts(mode, engines, (*chart).throughput),
		})
	}
	return out
}

func without(names []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == name })
}

// charts makes one chart for each circuit that was measured in a mode. Colours
// follow the engine, whichever chart it is in.
func (r *Record) charts(mode string, engines []string, shape func(*chart)) []figure {
	all := distinct(r.Results, func(e *Result) string { return e.Engine })
	var out []figure
	for _, circuit := range distinct(r.Results, func(e *Result) string { return e.Circuit }) {
		c := &chart{title: circuit + ", " + mode}
		for i := range r.Results {
			e := &r.Results[i]
			if e.Circuit == circuit && e.Mode == mode && !slices.Contains(c.sizes, e.Log) {
				c.sizes = append(c.sizes, e.Log)
			}
		}
		slices.Sort(c.sizes)
		for _, engine := range engines {
			c.lines = append(c.lines, series{color: slices.Index(all, engine) % colors, name: engine, values: make([]float64, len(c.sizes))})
		}
		shape(c)
		c.fill(r, circuit, mode)
		if len(c.sizes) > 0 {
			out = append(out, figure{circuit, template.HTML(c.svg())}) // every text in it is escaped
		}
	}
	return out
}

// fill takes the values that the chart's shape asks for from the results.
func (c *chart) fill(r *Record, circuit, mode string) {
	for i := range r.Results {
		e := &r.Results[i]
		line := slices.IndexFunc(c.lines, func(s series) bool { return s.name == e.Engine })
		at := slices.Index(c.sizes, e.Log)
		if e.Circuit != circuit || e.Mode != mode || line < 0 || at < 0 {
			continue
		}
		s := &c.lines[line]
		switch {
		case c.log:
			s.values[at], s.low[at], s.high[at] = e.MedianMS, e.MinMS, e.MaxMS
		case c.mark != 0:
			s.values[at] = e.VsReference
		default:
			s.values[at] = e.ConstraintsPerSecond
		}
	}
}

func (c *chart) times() {
	c.log, c.yName = true, "milliseconds"
	for i := range c.lines {
		c.lines[i].low = make([]float64, len(c.sizes))
		c.lines[i].high = make([]float64, len(c.sizes))
	}
}

func (c *chart) ratios() {
	c.yName, c.mark = "times as fast as "+Reference, 1
}

func (c *chart) throughput() { c.yName = "constraints per second" }
