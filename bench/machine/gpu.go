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
)

const smi = "nvidia-smi"

// describeGPUs asks the driver's tool; without it there are none to see.
func describeGPUs(ctx context.Context) []GPU {
	out, err := exec.CommandContext(ctx, smi, "--query-gpu=name,uuid,driver_version,memory.total", "--format=csv,noheader,nounits").Output()
	if err != nil {
		return []GPU{}
	}
	return parseGPUs(string(out))
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

	mu    sync.Mutex
	cards map[string]*card
}

type card struct {
	joules float64
	peak   int64
	at     time.Time
}

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
	w := &Watch{stop: stop, done: make(chan struct{}), cards: map[string]*card{}}
	go func() {
		defer close(w.done)
		w.read(out, time.Now)
		_ = cmd.Wait()
	}()
	return w
}

// read takes readings until the stream ends. Power holds from one reading to the
// next; what a card does not report counts as nothing.
func (w *Watch) read(from io.Reader, now func() time.Time) {
	scan := bufio.NewScanner(from)
	for scan.Scan() {
		fields := splitCSV(scan.Text())
		if len(fields) != 3 {
			continue
		}
		watts, _ := strconv.ParseFloat(fields[1], 64)
		mib, _ := strconv.ParseInt(fields[2], 10, 64)
		w.take(fields[0], watts, mib<<20, now())
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
	c.joules += watts * at.Sub(c.at).Seconds()
	c.at = at
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
	joules, peak = c.joules, c.peak
	c.joules, c.peak = 0, 0
	return joules, peak
}

// Close stops following.
func (w *Watch) Close() {
	if w != nil {
		w.stop()
		<-w.done
	}
}

func splitCSV(line string) []string {
	fields := strings.Split(line, ",")
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	return fields
}
