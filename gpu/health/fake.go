package health

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
)

// FakeEnv names a file for Fake. It is for tests and demonstrations.
const FakeEnv = "GRISTMILL_FAKE_GPUS"

// Fake reads devices that do not exist from a file. The file is read each time,
// so that whoever writes it can change the devices. It has
//
//	{"gpus": [{"uuid": "GPU-1", "name": "H100", "temperature": 45, …}]}
//
// with a Reading's fields, or {"error": "no driver"} for one of "no tool", "no
// driver", "no devices", "timeout" and "unreadable", or several of these to be
// read one after the other, the last from then on: {"script": [{…}, {…}]}.
type Fake struct {
	Path string

	mu    sync.Mutex
	reads int
}

var _ Source = (*Fake)(nil)

// frame is what a fake says at one time.
type frame struct {
	GPUs  []Reading `json:"gpus"`
	Error string    `json:"error"`
}

type fakeFile struct {
	frame
	Script []frame `json:"script"`
}

// kinds are the names that errors have in files and answers.
var kinds = map[string]error{
	"no tool": ErrNoTool, "no driver": ErrNoDriver, "no devices": ErrNoDevices, "timeout": ErrTimeout, "unreadable": ErrUnreadable,
}

// Name implements Source.
func (f *Fake) Name() string { return "FAKE devices of " + f.Path }

// Read implements Source.
func (f *Fake) Read(context.Context) ([]Reading, error) {
	raw, err := os.ReadFile(f.Path)
	if err != nil {
		return nil, fmt.Errorf("%w: fake devices: %w", ErrUnreadable, err)
	}
	var file fakeFile
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf("%w: fake devices in %s: %w", ErrUnreadable, f.Path, err)
	}
	now := file.frame
	if n := len(file.Script); n > 0 {
		f.mu.Lock()
		now = file.Script[min(f.reads, n-1)]
		f.reads++
		f.mu.Unlock()
	}
	if now.Error != "" {
		known := kinds[now.Error]
		if known == nil {
			return nil, fmt.Errorf("%w: fake devices in %s: there is no error %q", ErrUnreadable, f.Path, now.Error)
		}
		return nil, fmt.Errorf("%w (FAKE)", known)
	}
	if len(now.GPUs) == 0 {
		return nil, fmt.Errorf("%w (FAKE)", ErrNoDevices)
	}
	return now.GPUs, markFake(now.GPUs, f.Path)
}

// markFake makes every reading say that it is none.
func markFake(readings []Reading, path string) error {
	for i := range readings {
		readings[i].Fake = true
		if readings[i].UUID == "" {
			return errors.Join(ErrUnreadable, fmt.Errorf("fake devices in %s: device %d has no uuid", path, i))
		}
	}
	return nil
}

// Open is the source to use: Fake when the environment names a file for it, else
// NVML through the program that reader names, and SMI where that can not tell or
// there is no reader. Lookup is os.Getenv, or what stands for it.
func Open(lookup func(string) string, reader []string) Source {
	if path := lookup(FakeEnv); path != "" {
		return &Fake{Path: path}
	}
	if len(reader) == 0 {
		return &SMI{}
	}
	return &either{first: &Program{Command: reader}, second: &SMI{}}
}
