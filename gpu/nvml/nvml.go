//go:build icicle

package nvml

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/gristmill-zk/gristmill/gpu/health"
)

// Read returns a reading of each device, in the driver's order, without the
// events of the kernel's log. A device that the library can not talk to is in
// the answer with its fault. Fails with health.ErrNoDriver, health.ErrNoDevices
// or health.ErrUnreadable.
func Read() ([]health.Reading, error) { return read(nvml.New()) }

func read(lib nvml.Interface) (readings []health.Reading, err error) {
	if ret := lib.Init(); ret != nvml.SUCCESS {
		return nil, failure(lib, "init", ret)
	}
	defer func() {
		if ret := lib.Shutdown(); ret != nvml.SUCCESS {
			err = errors.Join(err, failure(lib, "shutdown", ret))
		}
	}()
	count, ret := lib.DeviceGetCount()
	if ret != nvml.SUCCESS {
		return nil, failure(lib, "count devices", ret)
	}
	if count == 0 {
		return nil, health.ErrNoDevices
	}
	driver, ret := lib.SystemGetDriverVersion()
	if ret != nvml.SUCCESS {
		return nil, failure(lib, "driver version", ret)
	}
	for i := range count {
		r := health.Reading{Fingerprint: health.Fingerprint{Index: i, Driver: driver}}
		device, ret := lib.DeviceGetHandleByIndex(i)
		if ret == nvml.SUCCESS {
			ret = fingerprint(device, &r.Fingerprint)
		}
		if ret != nvml.SUCCESS {
			r.Fault = fmt.Sprintf("NVML can not talk to device %d: %s", i, lib.ErrorString(ret))
		} else {
			measure(device, &r)
		}
		readings = append(readings, r)
	}
	return readings, nil
}

// failure says what a failed call of the whole library means.
func failure(lib nvml.Interface, what string, ret nvml.Return) error {
	kind := health.ErrUnreadable
	switch ret {
	case nvml.ERROR_LIBRARY_NOT_FOUND, nvml.ERROR_DRIVER_NOT_LOADED, nvml.ERROR_LIB_RM_VERSION_MISMATCH, nvml.ERROR_UNINITIALIZED:
		kind = health.ErrNoDriver
	case nvml.ERROR_NO_PERMISSION, nvml.ERROR_NOT_FOUND:
		kind = health.ErrNoDevices
	}
	// Without the library there is nobody to ask for its words.
	text := "libnvidia-ml.so.1 is not there"
	if ret != nvml.ERROR_LIBRARY_NOT_FOUND {
		text = lib.ErrorString(ret)
	}
	return fmt.Errorf("%w: NVML: %s: %s", kind, what, text)
}

// fingerprint fills in what a device is. Only its name is a must.
func fingerprint(device nvml.Device, f *health.Fingerprint) nvml.Return {
	var ret nvml.Return
	if f.UUID, ret = device.GetUUID(); ret != nvml.SUCCESS {
		return ret
	}
	if name, ret := device.GetName(); ret == nvml.SUCCESS {
		f.Name = name
	}
	if pci, ret := device.GetPciInfo(); ret == nvml.SUCCESS {
		id, _, _ := bytes.Cut(pci.BusId[:], []byte{0})
		f.PCI = string(id)
	}
	if major, minor, ret := device.GetCudaComputeCapability(); ret == nvml.SUCCESS {
		f.ComputeCapability = fmt.Sprintf("%d.%d", major, minor)
	}
	if memory, ret := device.GetMemoryInfo(); ret == nvml.SUCCESS {
		f.MemoryTotal = int64(memory.Total)
	}
	return nvml.SUCCESS
}

// measure fills in how a device is; what it does not say stays unknown.
func measure(device nvml.Device, r *health.Reading) {
	if memory, ret := device.GetMemoryInfo(); ret == nvml.SUCCESS {
		r.MemoryUsed = health.Known(float64(memory.Used))
	}
	if celsius, ret := device.GetTemperature(nvml.TEMPERATURE_GPU); ret == nvml.SUCCESS {
		r.Temperature = health.Known(float64(celsius))
	}
	field := []nvml.FieldValue{{FieldId: nvml.FI_DEV_MEMORY_TEMP}}
	if ret := device.GetFieldValues(field); ret == nvml.SUCCESS && nvml.Return(field[0].NvmlReturn) == nvml.SUCCESS {
		r.MemoryTemperature = health.Known(float64(binary.LittleEndian.Uint32(field[0].Value[:4])))
	}
	if milliwatts, ret := device.GetPowerUsage(); ret == nvml.SUCCESS {
		r.Power = health.Known(float64(milliwatts) / 1000)
	}
	if milliwatts, ret := device.GetEnforcedPowerLimit(); ret == nvml.SUCCESS {
		r.PowerLimit = health.Known(float64(milliwatts) / 1000)
	}
	if busy, ret := device.GetUtilizationRates(); ret == nvml.SUCCESS {
		r.Utilization = health.Known(float64(busy.Gpu))
	}
	if n, ret := device.GetTotalEccErrors(nvml.MEMORY_ERROR_TYPE_UNCORRECTED, nvml.VOLATILE_ECC); ret == nvml.SUCCESS {
		r.UncorrectedECC = health.Known(float64(n))
	}
	if n, ret := device.GetTotalEccErrors(nvml.MEMORY_ERROR_TYPE_CORRECTED, nvml.VOLATILE_ECC); ret == nvml.SUCCESS {
		r.CorrectedECC = health.Known(float64(n))
	}
	if _, _, pending, failed, ret := device.GetRemappedRows(); ret == nvml.SUCCESS {
		r.RemapPending, r.RemapFailed = health.Known(number(pending)), health.Known(number(failed))
	}
	if bits, ret := device.GetCurrentClocksEventReasons(); ret == nvml.SUCCESS {
		r.Throttle = health.ThrottleReasons(bits)
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
