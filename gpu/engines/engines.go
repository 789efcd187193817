// Package engines opens proving engines by name, the one place that knows which
// there are:
//
//	cpu         this process, in Go
//	icicle      a CUDA card through ICICLE, "icicle:1" the second one
//	icicle-cpu  ICICLE's own processor device, which is there to test the former
//
// Those on ICICLE run in a process of their own each, the program
// gristmill-engine-icicle. An engine that is asked for and not there is an
// error: nothing is ever proved on another one instead without a word.
package engines

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/cpu"
	"github.com/gristmill-zk/gristmill/gpu/remote"
	"github.com/gristmill-zk/gristmill/internal/subprocess"
)

// ErrUnknown is a name that no engine has.
var ErrUnknown = errors.New("no such proving engine")

// ICICLEProgram is the program of the engines on ICICLE. It is looked for next to
// this program and then in PATH.
const ICICLEProgram = "gristmill-engine-icicle"

// icicleEnv is what an engine on ICICLE inherits: where its libraries are, which
// cards it may see, and where the driver keeps compiled kernels.
var icicleEnv = []string{"PATH", "HOME", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "CUDA_CACHE_PATH", "ICICLE_BACKEND_INSTALL_DIR"}

// listTimeout is how long the program may take to list devices: seconds, unless
// the driver hangs.
const listTimeout = time.Minute

// maxListing bounds what is read of its answer.
const maxListing = 1 << 20

// Options are what engines are opened with.
type Options struct {
	// Cores is how many processor cores the CPU engine may use; 0 means all.
	Cores int
	// WithoutTables keeps the CPU engine from making tables of multiples for keys
	// that are used often.
	WithoutTables bool
	// Memory is the budget for resident keys in bytes; 0 is the engine's default.
	Memory int64
	// Stall is how long an engine in another process may make no progress before
	// that is taken for stuck and killed; 0 is remote.DefaultStallTimeout.
	Stall time.Duration
	// Logger receives what engines in other processes say; nil is slog.Default.
	Logger *slog.Logger
}

// Names are the names that Open takes, without a device's number.
func Names() []string { return []string{cpu.Name, "icicle", "icicle-cpu"} }

// OnCard says whether the engine of a name proves on an NVIDIA card.
func OnCard(name string) bool {
	kind, _, _ := strings.Cut(name, ":")
	return kind == "icicle"
}

// Open opens the engine of a name, which may end in a colon and the number of a
// device. It fails with ErrUnknown, or with what is missing on this machine.
func Open(name string, opts Options) (gpu.Engine, error) {
	kind, number, numbered := strings.Cut(name, ":")
	index, err := 0, error(nil)
	if numbered {
		index, err = strconv.Atoi(number)
	}
	if !slices.Contains(Names(), kind) || err != nil || index < 0 || (numbered && kind == cpu.Name) {
		return nil, fmt.Errorf("%w: %q (there are %s; icicle:1 is the second card)", ErrUnknown, name, strings.Join(Names(), ", "))
	}
	if kind == cpu.Name {
		cfg := cpu.Config{Cores: opts.Cores, Memory: opts.Memory}
		if opts.WithoutTables {
			cfg.TablesAfter = -1
		}
		return cpu.New(cfg)
	}
	device := "cuda"
	if kind == "icicle-cpu" {
		device = "cpu"
	}
	command := []string{icicleProgram(), "--device", device, "--index", strconv.Itoa(index)}
	if opts.Memory > 0 {
		command = append(command, "--memory", strconv.FormatInt(opts.Memory, 10))
	}
	return remote.New(remote.Config{Command: command, Env: append(cardOrder(), icicleEnv...), StallTimeout: opts.Stall, Logger: opts.Logger})
}

// cardOrder numbers cards as nvidia-smi does, by their place on the bus. CUDA's
// own order is by speed.
func cardOrder() []string {
	if os.Getenv("CUDA_DEVICE_ORDER") != "" {
		return nil
	}
	return []string{"CUDA_DEVICE_ORDER=PCI_BUS_ID"}
}

// icicleProgram is the path of the program if it lies next to this one, else its
// name.
func icicleProgram() string {
	self, err := os.Executable()
	if err != nil {
		return ICICLEProgram
	}
	beside := filepath.Join(filepath.Dir(self), ICICLEProgram)
	info, err := os.Stat(beside)
	if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return ICICLEProgram
	}
	return beside
}

// HealthReader is the command that reads devices by NVML; nil where the engine's
// program is not there.
func HealthReader() []string {
	path, err := exec.LookPath(icicleProgram())
	if err != nil {
		return nil
	}
	return []string{path, "--health"}
}

// Device is a device that an engine on ICICLE could prove on.
type Device struct {
	Kind    string `json:"kind"` // CUDA or CPU
	Index   int    `json:"index"`
	Name    string `json:"name"`
	ID      string `json:"id"`
	Runtime string `json:"runtime"`
}

// Engine is the name that Open takes for the device.
func (d *Device) Engine() string {
	if d.Kind == "CPU" {
		return "icicle-cpu"
	}
	return fmt.Sprintf("icicle:%d", d.Index)
}

// ICICLEDevices asks the engine's program which devices it sees. NoCUDA says why
// there is no card, where there is none. It fails when the program is not there
// or does not run.
func ICICLEDevices(ctx context.Context) (devices []Device, noCUDA string, err error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	cmd := exec.Command(icicleProgram(), "--list")
	cmd.Env = append(os.Environ(), cardOrder()...)
	answer, err := subprocess.Ask(ctx, maxListing, cmd)
	switch {
	case errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist):
		return nil, "", fmt.Errorf("%s is neither next to gristmill nor in PATH: build it with scripts/icicle.sh and scripts/engine-icicle.sh", ICICLEProgram)
	case errors.Is(err, context.DeadlineExceeded):
		return nil, "", fmt.Errorf("%s --list takes longer than %v: the driver may hang; look for Xid events in the kernel's log: %w", ICICLEProgram, listTimeout, err)
	case err != nil:
		return nil, "", fmt.Errorf("%s --list: %w: %s", ICICLEProgram, err, strings.TrimSpace(answer.Err))
	}
	var listing struct {
		Devices []Device `json:"devices"`
		NoCUDA  string   `json:"no_cuda"`
	}
	if err := json.Unmarshal([]byte(answer.Out), &listing); err != nil {
		return nil, "", fmt.Errorf("%s --list: %w", ICICLEProgram, err)
	}
	return listing.Devices, listing.NoCUDA, nil
}
