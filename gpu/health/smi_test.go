package health_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gristmill-zk/gristmill/gpu/health"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tool is an nvidia-smi that runs a shell script.
func tool(t *testing.T, script string) *health.SMI {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nvidia-smi")
	require.NoError(t, os.WriteFile(path, []byte(script), 0o600))
	return &health.SMI{Command: []string{"/bin/sh", path}, KernelLog: "-"}
}

// says is a tool that answers with text.
func says(t *testing.T, text string) *health.SMI {
	t.Helper()
	return tool(t, "cat <<'END'\n"+text+"\nEND\n")
}

const (
	h100 = "0, GPU-5a1b, NVIDIA H100 80GB HBM3, 00000000:3B:00.0, 550.54.15, 9.0, 81559, 1024, 34, 41, 71.25, 700.00, 12, 0, 3, No, No, 0x0000000000000000, 0x0000000000000000"
	rtx  = "1, GPU-77ce, NVIDIA GeForce RTX 4090, 00000000:AF:00.0, 550.54.15, 8.9, 24564, 20000, 88, N/A, 449.90, 450.00, 100, [N/A], [N/A], [N/A], [N/A], 0x0000000000000044, 0x0000000000000044"
)

func TestReadsDevices(t *testing.T) {
	t.Parallel()
	readings, err := says(t, h100+"\n"+rtx).Read(t.Context())
	require.NoError(t, err)
	require.Len(t, readings, 2)
	require.Equal(t, health.Reading{
		Fingerprint: health.Fingerprint{
			UUID: "GPU-5a1b", Name: "NVIDIA H100 80GB HBM3", PCI: "00000000:3B:00.0", Driver: "550.54.15",
			ComputeCapability: "9.0", MemoryTotal: 81559 << 20,
		},
		MemoryUsed: health.Known(1 << 30), Temperature: health.Known(34), MemoryTemperature: health.Known(41),
		Power: health.Known(71.25), PowerLimit: health.Known(700), Utilization: health.Known(12),
		UncorrectedECC: health.Known(0), CorrectedECC: health.Known(3), RemapPending: health.Known(0), RemapFailed: health.Known(0),
	}, readings[0])
	other := readings[1]
	require.Equal(t, 1, other.Index)
	require.False(t, other.UncorrectedECC.Known)
	require.False(t, other.MemoryTemperature.Known)
	require.Equal(t, []health.Throttle{health.ThrottlePowerCap, health.ThrottleHardwareHeat}, other.Throttle)
	require.Equal(t, "NVIDIA GeForce RTX 4090", other.Label())
}

func TestAsksForAllFieldsThatTheDriverKnows(t *testing.T) {
	t.Parallel()
	smi := tool(t, `
case "$1" in
*compute_cap*) echo 'Field "compute_cap" is not a valid field to query.'; exit 2;;
*clocks_event_reasons.active*) echo 'Field "clocks_event_reasons.active" is not a valid field to query.'; exit 2;;
--query-gpu=index,uuid,*) echo '0, GPU-1, Tesla V100, 0000:01:00.0, 470.1, 16160, 0, 30, [Not Supported], 25, 300, 0, 0, 0, [N/A], [N/A], 0x1';;
*) echo "unexpected: $*"; exit 2;;
esac
[ "$2" = --format=csv,noheader,nounits ] || exit 2
`)
	for range 2 {
		readings, err := smi.Read(t.Context())
		require.NoError(t, err)
		require.Equal(t, "Tesla V100", readings[0].Name)
		require.Empty(t, readings[0].ComputeCapability)
		require.Empty(t, readings[0].Throttle, "idle is none")
	}
}

func TestFailuresOfTheTool(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		smi  *health.SMI
		kind error
		text string
	}{
		"not installed": {&health.SMI{Command: []string{"/nowhere/nvidia-smi"}}, health.ErrNoTool, "install"},
		"no driver": {tool(t, `echo "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running."; exit 9`),
			health.ErrNoDriver, "couldn't communicate with the NVIDIA driver"},
		"mismatch":   {tool(t, `echo "Failed to initialize NVML: Driver/library version mismatch"; exit 18`), health.ErrNoDriver, "version mismatch"},
		"no library": {tool(t, `exit 12`), health.ErrNoDriver, "says: nothing"},
		"container":  {tool(t, `echo "Failed to initialize NVML: Unknown Error"; exit 255`), health.ErrNoDriver, "Unknown Error"},
		"no devices": {tool(t, `echo "No devices were found"; exit 6`), health.ErrNoDevices, "seated"},
		"silence":    {tool(t, `true`), health.ErrNoDevices, "seated"},
		"other":      {tool(t, `echo "something new" >&2; exit 77`), health.ErrUnreadable, "something new"},
		"few values": {says(t, "0, GPU-1, H100"), health.ErrUnreadable, "3 values for"},
		"no number":  {says(t, strings.Replace(h100, "81559", "a lot", 1)), health.ErrUnreadable, `memory.total: "a lot"`},
		"not finite": {says(t, strings.Replace(h100, " 34,", " NaN,", 1)), health.ErrUnreadable, "temperature.gpu"},
		"no reasons": {says(t, strings.Replace(h100, "0x0000000000000000", "cold", 1)), health.ErrUnreadable, "clocks_throttle"},
		"nameless":   {says(t, strings.NewReplacer("GPU-5a1b", "[N/A]", "00000000:3B:00.0", "[N/A]").Replace(h100)), health.ErrUnreadable, "without a name"},
		"binary":     {says(t, "\x01\xff\x02"), health.ErrUnreadable, "1 values for"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := test.smi.Read(t.Context())
			require.ErrorIs(t, err, test.kind)
			require.ErrorContains(t, err, test.text)
		})
	}
}

func TestHangingDriver(t *testing.T) {
	t.Parallel()
	smi := tool(t, "sleep 1000 & wait")
	smi.Timeout = 100 * time.Millisecond
	_, err := smi.Read(t.Context())
	require.ErrorIs(t, err, health.ErrTimeout)
	require.ErrorContains(t, err, "100ms")

	why := errors.New("not needed any more")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	_, err = smi.Read(ctx)
	require.ErrorIs(t, err, why)
}

func TestLostDevicesAreInTheAnswer(t *testing.T) {
	t.Parallel()
	for _, lost := range []string{
		"Unable to determine the device handle for GPU 0000:AF:00.0: GPU is lost.  Reboot the system to recover this GPU",
		"Unable to determine the device handle for GPU0000:AF:00.0: Unknown Error",
	} {
		readings, err := tool(t, "echo '"+h100+"'\necho '"+lost+"'\nexit 15\n").Read(t.Context())
		require.NoError(t, err)
		require.Len(t, readings, 2)
		require.Empty(t, readings[0].Fault)
		require.Equal(t, "0000:AF:00.0", readings[1].PCI)
		require.NotEmpty(t, readings[1].Fault)
		require.Contains(t, readings[1].Label(), "0000:AF:00.0")
	}
	for _, value := range []string{"[Unknown Error]", "[GPU requires reset]", "[GPU is lost]", "ERR!"} {
		readings, err := says(t, strings.Replace(h100, " 34,", " "+value+",", 1)).Read(t.Context())
		require.NoError(t, err)
		require.Equal(t, strings.Trim(value, "[]"), readings[0].Fault)
	}
}

func TestXidsOfTheKernelsLog(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "kmsg")
	require.NoError(t, os.WriteFile(log, []byte(`6,1,5,-;Linux version 6.18
3,900,1000000,-;NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.
 SUBSYSTEM=pci
3,901,2000000,-;NVRM: Xid (PCI:0000:af:00): 31, pid=77, name=gristmill, Ch 00000010
3,902,3000000,-;NVRM: Xid (PCI:0000:af:00 GPU-I:05): 43, pid=78
3,903,nonsense,-;NVRM: Xid (PCI:0000:af:00): 13
`), 0o600))
	smi := says(t, h100+"\n"+rtx)
	smi.KernelLog = log
	readings, err := smi.Read(t.Context())
	require.NoError(t, err)
	require.True(t, readings[0].XidsKnown)
	require.Len(t, readings[0].Xids, 1)
	require.Equal(t, 79, readings[0].Xids[0].Code)
	require.Contains(t, readings[0].Xids[0].Text, "fallen off the bus")
	require.True(t, readings[0].Xids[0].At.Before(time.Now()))
	require.Len(t, readings[1].Xids, 2)
	require.Equal(t, time.Second, readings[1].Xids[1].At.Sub(readings[1].Xids[0].At).Round(time.Second))

	smi.KernelLog = filepath.Join(t.TempDir(), "not there")
	readings, err = smi.Read(t.Context())
	require.NoError(t, err)
	require.False(t, readings[0].XidsKnown)
}

func FuzzAnswer(f *testing.F) {
	f.Add(h100)
	f.Add(rtx + "\n" + h100)
	f.Add("Unable to determine the device handle for GPU0000:AF:00.0: Unknown Error")
	f.Fuzz(func(t *testing.T, answer string) {
		readings, err := health.Parse(answer)
		if err != nil {
			require.ErrorIs(t, err, health.ErrUnreadable)
		}
		for _, r := range readings {
			health.Healthy(r, health.Limits{})
		}
	})
}
