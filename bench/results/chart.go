package results

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// A chart is drawn in this box; the page scales it.
const (
	chartWidth  = 380.0
	chartHeight = 270.0
	plotLeft    = 62.0
	plotRight   = 12.0
	plotTop     = 14.0
	plotBottom  = 44.0
)

// chart is one small plot: sizes along the x axis, a value for each engine.
type chart struct {
	title string // for those who can not see it
	yName string
	sizes []int // powers of two
	lines []series
	// log spaces the y axis by ratios and joins dots; otherwise bars stand on
	// zero.
	log bool
	// mark is a value to draw a line at; 0 for none.
	mark float64
}

// series is an engine's values, one for each size; zero means none.
type series struct {
	color  int
	name   string
	values []float64
	low    []float64 // whiskers, may be nil
	high   []float64
}

// svg draws the chart.
func (c *chart) svg() string {
	var out strings.Builder
	fmt.Fprintf(&out, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s">`, chartWidth, chartHeight, html.EscapeString(c.title))
	scale := c.scale()
	scale.draw(&out, c.yName)
	for i, size := range c.sizes {
		text(&out, c.slot(i), chartHeight-plotBottom+16, "middle", "tick", power(size))
	}
	text(&out, (plotLeft+chartWidth-plotRight)/2, chartHeight-8, "middle", "axis", "constraints (domain)")
	if c.log {
		c.dots(&out, scale)
	} else {
		c.bars(&out, scale)
	}
	if c.mark != 0 {
		y := scale.at(c.mark)
		fmt.Fprintf(&out, `<line class="mark" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/>`, plotLeft, chartWidth-plotRight, y, y)
	}
	out.WriteString("</svg>")
	return out.String()
}

// slot is the middle of the i-th size on the x axis.
func (c *chart) slot(i int) float64 {
	return plotLeft + c.slotWidth()*(float64(i)+0.5)
}

func (c *chart) slotWidth() float64 {
	return (chartWidth - plotLeft - plotRight) / float64(len(c.sizes))
}

func (c *chart) dots(out *strings.Builder, scale scale) {
	const apart = 9
	for n, s := range c.lines {
		shift := apart * (float64(n) - float64(len(c.lines)-1)/2)
		var path []string
		for i, v := range s.values {
			if v > 0 {
				path = append(path, fmt.Sprintf("%.1f,%.1f", c.slot(i)+shift, scale.at(v)))
			}
		}
		fmt.Fprintf(out, `<g class="c%d"><polyline class="line" points="%s"/>`, s.color, strings.Join(path, " "))
		for i, v := range s.values {
			if v <= 0 {
				continue
			}
			x, y := c.slot(i)+shift, scale.at(v)
			if s.low != nil {
				fmt.Fprintf(out, `<line class="whisker" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, x, x, scale.at(s.low[i]), scale.at(s.high[i]))
			}
			fmt.Fprintf(out, `<circle cx="%.1f" cy="%.1f" r="4"><title>%s, %s: %s</title></circle>`, x, y, html.EscapeString(s.name), power(c.sizes[i]), Short(v))
		}
		out.WriteString("</g>")
	}
}

func (c *chart) bars(out *strings.Builder, scale scale) {
	width := min(c.slotWidth()*0.76/float64(len(c.lines)), 44)
	for n, s := range c.lines {
		shift := width * (float64(n) - float64(len(c.lines))/2)
		fmt.Fprintf(out, `<g class="c%d">`, s.color)
		for i, v := range s.values {
			if v <= 0 {
				continue
			}
			x, y := c.slot(i)+shift+1, scale.at(v)
			fmt.Fprintf(out, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2"><title>%s, %s: %s</title></rect>`,
				x, y, width-2, max(scale.at(0)-y, 0), html.EscapeString(s.name), power(c.sizes[i]), Short(v))
			text(out, x+width/2-1, y-4, "middle", "value", short2(v))
		}
		out.WriteString("</g>")
	}
}

// scale places values on the y axis.
type scale struct {
	ticks     []float64
	low, high float64
	log       bool
}

func (c *chart) scale() scale {
	low, high := math.Inf(1), 0.0
	for _, s := range c.lines {
		for i, v := range s.values {
			if v <= 0 {
				continue
			}
			low, high = min(low, v), max(high, v)
			if s.low != nil {
				low, high = min(low, s.low[i]), max(high, s.high[i])
			}
		}
	}
	if high == 0 {
		low, high = 1, 1
	}
	if c.log {
		return logScale(low, high)
	}
	return linearScale(max(high, c.mark) * 1.12)
}

// logScale has ticks at 1, 2 and 5 times powers of ten, the first at or below
// low and the last at or above high.
func logScale(low, high float64) scale {
	s := scale{log: true}
	for decade := math.Floor(math.Log10(low)); ; decade++ {
		for _, step := range []float64{1, 2, 5} {
			tick := step * math.Pow(10, decade)
			if tick <= low*(1+1e-9) {
				s.ticks = s.ticks[:0]
			}
			s.ticks = append(s.ticks, tick)
			if tick >= high*(1-1e-9) && len(s.ticks) > 1 {
				s.low, s.high = s.ticks[0], tick
				return s
			}
		}
	}
}

// linearScale has four to eight ticks from zero to at least high.
func linearScale(high float64) scale {
	unit := math.Pow(10, math.Floor(math.Log10(high)))
	for _, step := range []float64{0.2, 0.25, 0.5, 1, 2} {
		if step*unit*8 >= high || step == 2 {
			unit *= step
			break
		}
	}
	s := scale{high: high}
	for n := 0; float64(n)*unit <= high; n++ {
		s.ticks = append(s.ticks, float64(n)*unit)
	}
	return s
}

func (s scale) at(v float64) float64 {
	share := (v - s.low) / (s.high - s.low)
	if s.log {
		share = math.Log(v/s.low) / math.Log(s.high/s.low)
	}
	return chartHeight - plotBottom - share*(chartHeight-plotTop-plotBottom)
}

func (s scale) draw(out *strings.Builder, name string) {
	for _, tick := range s.ticks {
		y := s.at(tick)
		fmt.Fprintf(out, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/>`, plotLeft, chartWidth-plotRight, y, y)
		text(out, plotLeft-6, y+4, "end", "tick", tickText(tick))
	}
	middle := (plotTop + chartHeight - plotBottom) / 2
	fmt.Fprintf(out, `<text class="axis" text-anchor="middle" transform="translate(13 %.1f) rotate(-90)">%s</text>`, middle, html.EscapeString(name))
}

func text(out *strings.Builder, x, y float64, anchor, class, what string) {
	fmt.Fprintf(out, `<text class="%s" x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, class, x, y, anchor, html.EscapeString(what))
}

// tickText is a round number, thousands as k and millions as M.
func tickText(v float64) string {
	unit := ""
	switch {
	case v >= 1e6:
		v, unit = v/1e6, " M"
	case v >= 1e4:
		v, unit = v/1e3, " k"
	}
	return strconv.FormatFloat(v, 'g', 6, 64) + unit // six digits hide the error of adding up steps
}

// short2 is a bar's value in two or three digits.
func short2(v float64) string {
	switch {
	case v >= 1e6:
		return strconv.FormatFloat(v/1e6, 'f', 1, 64) + "M"
	case v >= 1e4:
		return strconv.FormatFloat(v/1e3, 'f', 0, 64) + "k"
	case v >= 1e3:
		return strconv.FormatFloat(v/1e3, 'f', 1, 64) + "k"
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// power writes a power of two with its exponent raised.
func power(log int) string {
	raised := strings.NewReplacer("0", "⁰", "1", "¹", "2", "²", "3", "³", "4", "⁴", "5", "⁵", "6", "⁶", "7", "⁷", "8", "⁸", "9", "⁹")
	return "2" + raised.Replace(strconv.Itoa(log))
}
