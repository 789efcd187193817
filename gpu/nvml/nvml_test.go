//go:build icicle

package nvml

import (
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxa100"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/gpu/health"
)

// server is a machine of eight cards, all well, that says what can be asked.
func server() *dgxa100.Server {
	s := dgxa100.New()
	s.ErrorStringFunc = func(r nvml.Return) string { return map[nvml.Return]string{nvml.ERROR_GPU_IS_LOST: "GPU is lost"}[r] }
	for _, d := range s.Devices {
		d := d.(*dgxa100.Device)
		d.GetPciInfoFunc = func() (pci nvml.PciInfo, _ nvml.Return) {
			copy(pci.BusId[:], d.PciBusID)
			return pci, nvml.SUCCESS
		}
		d.GetTemperatureFunc = func(nvml.TemperatureSensors) (uint32, nvml.Return) { return 40, nvml.SUCCESS }
		d.GetFieldValuesFunc = func(values []nvml.FieldValue) nvml.Return {
			if values[0].FieldId != nvml.FI_DEV_MEMORY_TEMP {
				return nvml.ERROR_INVALID_ARGUMENT
			}
			values[0].Value[0] = 55
			return nvml.SUCCESS
		}
		d.GetPowerUsageFunc = func() (uint32, nvml.Return) { return 61_500, nvml.SUCCESS }
		d.GetEnforcedPowerLimitFunc = func() (uint32, nvml.Return) { return 400_000, nvml.SUCCESS }
		d.GetUtilizationRatesFunc = func() (nvml.Utilization, nvml.Return) { return nvml.Utilization{Gpu: 7}, nvml.SUCCESS }
		d.GetTotalEccErrorsFunc = func(kind nvml.MemoryErrorType, _ nvml.EccCounterType) (uint64, nvml.Return) {
			if kind == nvml.MEMORY_ERROR_TYPE_CORRECTED {
				return 3, nvml.SUCCESS
			}
			return 0, nvml.SUCCESS
		}
		d.GetRemappedRowsFunc = func() (int, int, bool, bool, nvml.Return) { return 0, 0, true, false, nvml.SUCCESS }
		d.GetCurrentClocksEventReasonsFunc = func() (uint64, nvml.Return) { return 0x41, nvml.SUCCESS }
	}
	return s
}

func TestReadsEveryDevice(t *testing.T) {
	t.Parallel()
	s := server()
	readings, err := read(s)
	require.NoError(t, err)
	require.Len(t, readings, 8)
	second := s.Devices[1].(*dgxa100.Device)
	require.Equal(t, health.Reading{
		Fingerprint: health.Fingerprint{
			UUID: second.UUID, Index: 1, Name: second.Name, PCI: "0000:01:00.0", Driver: "550.54.15", ComputeCapability: "8.0", MemoryTotal: 40 << 30,
		},
		MemoryUsed: health.Known(0), Temperature: health.Known(40), MemoryTemperature: health.Known(55),
		Power: health.Known(61.5), PowerLimit: health.Known(400), Utilization: health.Known(7),
		UncorrectedECC: health.Known(0), CorrectedECC: health.Known(3), RemapPending: health.Known(1), RemapFailed: health.Known(0),
		Throttle: []health.Throttle{health.ThrottleHardwareHeat},
	}, readings[1])
	ok, reasons := health.Healthy(readings[1], health.Limits{})
	require.False(t, ok)
	require.NotEmpty(t, reasons)
}

func TestUnknownStaysUnknownAndLostIsSaid(t *testing.T) {
	t.Parallel()
	s := server()
	old := s.Devices[0].(*dgxa100.Device)
	old.GetRemappedRowsFunc = func() (int, int, bool, bool, nvml.Return) { return 0, 0, false, false, nvml.ERROR_NOT_SUPPORTED }
	old.GetFieldValuesFunc = func(values []nvml.FieldValue) nvml.Return {
		values[0].NvmlReturn = uint32(nvml.ERROR_NOT_SUPPORTED)
		return nvml.SUCCESS
	}
	whole := s.DeviceGetHandleByIndexFunc
	s.DeviceGetHandleByIndexFunc = func(i int) (nvml.Device, nvml.Return) {
		if i == 2 {
			return nil, nvml.ERROR_GPU_IS_LOST
		}
		return whole(i)
	}
	readings, err := read(s)
	require.NoError(t, err)
	require.Len(t, readings, 8)
	require.False(t, readings[0].RemapPending.Known)
	require.False(t, readings[0].MemoryTemperature.Known)
	require.Equal(t, "NVML can not talk to device 2: GPU is lost", readings[2].Fault)
	require.Empty(t, readings[3].Fault)
}

func TestFailuresHaveAKind(t *testing.T) {
	t.Parallel()
	for ret, kind := range map[nvml.Return]error{
		nvml.ERROR_LIBRARY_NOT_FOUND: health.ErrNoDriver, nvml.ERROR_DRIVER_NOT_LOADED: health.ErrNoDriver,
		nvml.ERROR_LIB_RM_VERSION_MISMATCH: health.ErrNoDriver, nvml.ERROR_NO_PERMISSION: health.ErrNoDevices, nvml.ERROR_UNKNOWN: health.ErrUnreadable,
	} {
		s := server()
		s.InitFunc = func() nvml.Return { return ret }
		_, err := read(s)
		require.ErrorIs(t, err, kind)
	}
	s := server()
	s.DeviceGetCountFunc = func() (int, nvml.Return) { return 0, nvml.SUCCESS }
	_, err := read(s)
	require.ErrorIs(t, err, health.ErrNoDevices)
}

// TestThisMachine asks the real library; most machines that test have none.
func TestThisMachine(t *testing.T) {
	t.Parallel()
	readings, err := Read()
	if err != nil {
		require.ErrorIs(t, err, health.ErrNoDriver)
		return
	}
	require.NotEmpty(t, readings)
}
