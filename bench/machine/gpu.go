package machine

import (
	"bufio"
	"context"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gristmill-zk/gristmill/internal/subprocess"
)

const smi = "nvidia-smi"

// smiTimeout is how long the tool may take to describe the cards; a driver that
// hangs would keep it for ever.
const smiTimeout = 15 * time.Second

// describeGPUs asks the driver's tool; without it there are none to see.
func describeGPUs(ctx context.Context) []GPU {
	ctx, stop := context.WithTimeout(ctx, smiTimeout)
	defer stop()
	answer, err := subprocess.Ask(ctx, 1<<20, exec.Command(smi, "--query-gpu=name,uuid,driver_version,memory.total", "--format=csv,noheader,nounits"))
	if err != nil {
		return []GPU{}
	}
	return parseGPUs(answer.Out)
}

func parseGPUs(csv string) []GPU {
	gpus := []GPU{}
	for line := range strings.Lines(csv) {
		fields := splitCSV(line)
		if len(fields) != 4 {
			continue
		}
		mib, _ := strconv.ParseInt(fields[3], 10, 64)
		gpus = append(gpus, GPU{Name: fields[0], UUID: fields[1], Driver: fields[2], Memory: mib << 20})
	}
	return gpus
}

// Watch follows power and memory of all cards, several times a second.
type Watch struct {
	stop context.CancelFunc
	done chan struct{}
	now  func() time.Time

	mu    sync.Mutex
	cards map[string]*card
}

type card struct {
	joules float64
	watts  float64 // by the last reading
	peak   int64
	at     time.Time // up to when joules counts
}

// until counts the energy up to a time, at the power of the last reading.
func (c *card) until(at time.Time) {
	if passed := at.Sub(c.at); passed > 0 {
		c.joules += c.watts * passed.Seconds()
		c.at = at
	}
}

// closeGrace is how long the tool may take to end when it was killed.
const closeGrace = 2 * time.Second

// watchEvery is the pause between two readings, in milliseconds.
const watchEvery = "200"

// WatchGPUs starts following the cards; nil without the driver's tool.
func WatchGPUs(ctx context.Context) *Watch {
	ctx, stop := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, smi, "--query-gpu=uuid,power.draw,memory.used", "--format=csv,noheader,nounits", "-lms", watchEvery)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		stop()
		return nil
	}
	w := newWatch(stop, time.Now)
	go func() {
		defer close(w.done)
		w.read(out)
		_ = cmd.Wait()
	}()
	return w
}

func newWatch(stop context.CancelFunc, now func() time.Time) *Watch {
	return &Watch{stop: stop, done: make(chan struct{}), now: now, cards: map[string]*card{}}
}

// read takes readings until the stream ends. Power holds from one reading to the
// next; what a card does not report counts as nothing.
func (w *Watch) read(from io.Reader) {
	scan := bufio.NewScanner(from)
	for scan.Scan() {
		fields := splitCSV(scan.Text())
		if len(fields) != 3 {
			continue
		}
		watts, _ := strconv.ParseFloat(fields[1], 64)
		mib, _ := strconv.ParseInt(fields[2], 10, 64)
		w.take(fields[0], watts, mib<<20, w.now())
	}
}

func (w *Watch) take(uuid string, watts float64, used int64, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.cards[uuid]
	if c == nil {
		c = &card{at: at}
		w.cards[uuid] = c
	}
	c.until(at)
	c.watts = watts
	c.peak = max(c.peak, used)
}

// Take says what one card used since the last call: energy, and the most memory
// in use on it, by anybody. Of a nil Watch or an unknown card both are 0.
func (w *Watch) Take(uuid string) (joules float64, peak int64) {
	if w == nil {
		return 0, 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.cards[uuid]
	if c == nil {
		return 0, 0
	}
	c.until(w.now())
	joules, peak = c.joules, c.peak
	c.joules, c.peak = 0, 0
	return joules, peak
}

// Close stops following. It does not wait for a tool that its driver holds.
func (w *Watch) Close() {
	if w == nil {
		return
	}
	w.stop()
	grace := time.NewTimer(closeGrace)
	defer grace.Stop()
	select {
	case <-w.done:
	case <-grace.C:
	}
}

func splitCSV(line string) []string {
	fields := strings.Split(line, ",")
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	return fields
}
