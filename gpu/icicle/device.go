//go:build icicle

package icicle

/*
#include <stdlib.h>
#include "bridge.h"
#include "driver.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"unsafe"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/gristmill-zk/gristmill/gpu"
)

// Kinds of devices, as ICICLE names them.
const (
	CPU  = "CPU"
	CUDA = "CUDA"
)

// BackendDirVariable names the folder with the libraries of devices that are
// loaded at run time; without it they are looked for in lib/backend and backend
// beside the executable, and beside the libraries it is linked to.
const BackendDirVariable = "ICICLE_BACKEND_INSTALL_DIR"

// Device is a device that an engine can be opened on.
type Device struct {
	Kind    string `json:"kind"`
	Index   int    `json:"index"`
	Name    string `json:"name"`
	ID      string `json:"id"` // the card's UUID
	Memory  int64  `json:"memory,omitempty"`
	Compute string `json:"compute,omitempty"` // capability, "9.0"
	Runtime string `json:"runtime"`
}

// device is an opened one.
type device struct {
	Device
	kind  string
	index int
	cKind *C.char
}

// loadBackends loads the device libraries once for the process.
var loadBackends = sync.OnceValues(func() (string, error) {
	dir := backendDir()
	if dir == "" {
		return "", nil
	}
	name := C.CString(dir)
	defer C.free(unsafe.Pointer(name))
	return dir, failed("load the libraries in "+dir, C.gm_load_backends(name))
})

func backendDir() string {
	if dir := os.Getenv(BackendDirVariable); dir != "" {
		return dir
	}
	exe, err := os.Executable()
	if err != nil {
		return ""
	}
	for _, dir := range []string{"lib/backend", "backend", "../lib/backend"} {
		dir = filepath.Join(filepath.Dir(exe), dir)
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
	}
	return ""
}

// Devices lists what engines can be opened on. The error says why there is no
// CUDA device, if there is none; the CPU device is always there.
func Devices() ([]Device, error) {
	devices := []Device{cpuDevice()}
	n, err := cards()
	if err == nil {
		err = cudaLoaded()
	}
	if err != nil {
		return devices, err
	}
	for i := range n {
		card, err := describe(i)
		if err != nil {
			return devices, err
		}
		devices = append(devices, card)
	}
	return devices, nil
}

func cpuDevice() Device {
	return Device{Kind: CPU, Name: fmt.Sprintf("%d cores, %s", runtime.NumCPU(), runtime.GOARCH), ID: "icicle-cpu", Runtime: "ICICLE " + Version}
}

// cards is the number of CUDA devices.
func cards() (int, error) {
	switch n := int(C.gm_cards()); {
	case n > 0:
		return n, nil
	case n == C.gm_no_driver:
		return 0, fmt.Errorf("%w: NVIDIA's driver is missing: libcuda.so.1 cannot be loaded; install the driver, or start the container with the GPU", gpu.ErrDevice)
	case n == C.gm_old_driver:
		return 0, fmt.Errorf("%w: NVIDIA's driver is too old: update it to one that knows CUDA 11.8 or newer", gpu.ErrDevice)
	case n == 0 || n == -1100:
		return 0, fmt.Errorf("%w: NVIDIA's driver sees no card: check CUDA_VISIBLE_DEVICES and nvidia-smi", gpu.ErrDevice)
	default:
		return 0, fmt.Errorf("%w: NVIDIA's driver does not start: CUDA error %d; see nvidia-smi", gpu.ErrDevice, -n-1000)
	}
}

func describe(index int) (Device, error) {
	var card C.gm_card
	if err := C.gm_card_at(C.int(index), &card); err != 0 {
		return Device{}, fmt.Errorf("%w: CUDA device %d: CUDA error %d", gpu.ErrDevice, index, int(err))
	}
	u := C.GoBytes(unsafe.Pointer(&card.uuid[0]), 16)
	return Device{
		Kind: CUDA, Index: index,
		Name:    C.GoString(&card.name[0]),
		ID:      fmt.Sprintf("GPU-%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:]),
		Memory:  int64(card.memory),
		Compute: fmt.Sprintf("%d.%d", card.major, card.minor),
		Runtime: fmt.Sprintf("ICICLE %s, CUDA %d.%d", Version, card.version/1000, card.version%1000/10),
	}, nil
}

func cudaLoaded() error {
	dir, err := loadBackends()
	if err != nil {
		return err
	}
	name := C.CString(CUDA)
	defer C.free(unsafe.Pointer(name))
	if C.gm_is_available(name) == 0 {
		return nil
	}
	if dir == "" {
		return fmt.Errorf("%w: ICICLE's CUDA libraries were not found: make them with scripts/icicle.sh cuda, and put lib/backend beside the executable or name it in %s",
			gpu.ErrDevice, BackendDirVariable)
	}
	return fmt.Errorf("%w: ICICLE's CUDA libraries could not be loaded from %s: make them with scripts/icicle.sh cuda", gpu.ErrDevice, dir)
}

func openDevice(kind string, index int) (*device, error) {
	d := &device{Device: cpuDevice(), kind: kind, index: index}
	switch kind {
	case CPU:
		if index != 0 {
			return nil, fmt.Errorf("%w: ICICLE has one CPU device, number 0, not %d", gpu.ErrDevice, index)
		}
	case CUDA:
		n, err := cards()
		if err != nil {
			return nil, err
		}
		if index < 0 || index >= n {
			return nil, fmt.Errorf("%w: there is no CUDA device %d: %d are there, numbered from 0", gpu.ErrDevice, index, n)
		}
		if err := cudaLoaded(); err != nil {
			return nil, err
		}
		if d.Device, err = describe(index); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("%w: a device of kind %q: it is %s or %s", gpu.ErrUnsupported, kind, CPU, CUDA)
	}
	d.cKind = C.CString(kind) // as long as the process: one for each engine
	if err := d.on(d.tryOut); err != nil {
		return nil, err
	}
	return d, nil
}

// tryOut runs one small kernel. Libraries without code for the card's
// architecture load well and fail here.
func (d *device) tryOut() error {
	one := []fr.Element{fr.One()}
	to, err := allocate("a first element", fr.Bytes)
	if err != nil {
		return err
	}
	err = upload(to, one, stream{})
	if err == nil {
		err = to.plainScalars(1, stream{})
	}
	var got fr.Element
	if err == nil {
		got, err = to.download(stream{})
	}
	if err == nil && got != (fr.Element{1}) {
		err = fmt.Errorf("%w: it converts one to %v", gpu.ErrDevice, [4]uint64(got))
	}
	if err != nil && d.kind == CUDA {
		err = fmt.Errorf("%s (compute capability %s) cannot run ICICLE's kernels: build for it with scripts/icicle.sh cuda %s: %w",
			d.Name, d.Compute, architecture(d.Compute), err)
	}
	return errors.Join(err, to.free())
}

func architecture(compute string) string {
	var major, minor int
	if _, err := fmt.Sscanf(compute, "%d.%d", &major, &minor); err != nil {
		return "ARCH"
	}
	return fmt.Sprint(10*major + minor)
}
