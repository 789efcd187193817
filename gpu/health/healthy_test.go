package health_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/gpu/health"
)

func TestHealthy(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	good := health.Reading{
		Fingerprint: health.Fingerprint{UUID: "GPU-1", MemoryTotal: 80 << 30},
		MemoryUsed:  health.Known(10 << 30), Temperature: health.Known(90), MemoryTemperature: health.Known(95),
		UncorrectedECC: health.Known(0), RemapFailed: health.Known(0), RemapPending: health.Known(1),
		Throttle: []health.Throttle{health.ThrottlePowerCap, health.ThrottleThermal},
		Xids:     []health.Xid{{Code: 45, At: now}, {Code: 79, At: now.Add(-61 * time.Minute)}},
	}
	ok, reasons := health.HealthyAt(good, health.Limits{}, now)
	require.True(t, ok, reasons)
	ok, _ = health.Healthy(health.Reading{}, health.Limits{MinFreeMemory: 1 << 30})
	require.True(t, ok, "what is unknown is no reason")

	for name, test := range map[string]struct {
		spoil  func(*health.Reading)
		limits health.Limits
		code   health.Code
		text   string
	}{
		"fault":      {func(r *health.Reading) { r.Fault = "GPU is lost" }, health.Limits{}, health.CodeFault, "GPU is lost"},
		"hot":        {func(r *health.Reading) { r.Temperature = health.Known(90.5) }, health.Limits{}, health.CodeTemperature, "90.5 °C, the limit is 90"},
		"limit":      {func(*health.Reading) {}, health.Limits{MaxTemperature: 80}, health.CodeTemperature, "90 °C, the limit is 80"},
		"hot memory": {func(r *health.Reading) { r.MemoryTemperature = health.Known(101) }, health.Limits{}, health.CodeTemperature, "memory at 101 °C"},
		"ecc":        {func(r *health.Reading) { r.UncorrectedECC = health.Known(1) }, health.Limits{}, health.CodeECC, "1 uncorrected"},
		"remap":      {func(r *health.Reading) { r.RemapFailed = health.Known(1) }, health.Limits{}, health.CodeECC, "replace the device"},
		"memory":     {func(*health.Reading) {}, health.Limits{MinFreeMemory: 71 << 30}, health.CodeMemory, "71680 MiB of memory are free, 72704 are needed"},
		"xid":        {func(r *health.Reading) { r.Xids[1].At = now.Add(-time.Minute) }, health.Limits{}, health.CodeXid, "Xid 79 (fell off the bus) 1m0s ago"},
		"window":     {func(*health.Reading) {}, health.Limits{XidWindow: 2 * time.Hour}, health.CodeXid, "1h1m0s ago"},
		"slowdown":   {func(r *health.Reading) { r.Throttle = []health.Throttle{health.ThrottleHardwareBrake} }, health.Limits{}, health.CodeSlowdown, "power brake"},
	} {
		r := good
		r.Xids = append([]health.Xid{}, good.Xids...)
		test.spoil(&r)
		ok, reasons := health.HealthyAt(r, test.limits, now)
		require.False(t, ok, name)
		require.Len(t, reasons, 1, name)
		require.Equal(t, test.code, reasons[0].Code, name)
		require.Contains(t, reasons[0].String(), test.text, name)
	}
	slow := good
	slow.Throttle = []health.Throttle{health.ThrottleHardware}
	ok, _ = health.HealthyAt(slow, health.Limits{AllowSlowdown: true}, now)
	require.True(t, ok)
}

func TestFakeIsAlwaysMarked(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gpus.json")
	source := health.Open(func(name string) string {
		require.Equal(t, health.FakeEnv, name)
		return path
	}, []string{"/nowhere/reader"})
	require.Contains(t, source.Name(), "FAKE")
	write := func(text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) }

	write(`{"gpus": [{"uuid": "GPU-1", "name": "H100", "memory_total": 85520809984, "temperature": 45, "fake": false}]}`)
	readings, err := source.Read(t.Context())
	require.NoError(t, err)
	require.True(t, readings[0].Fake)
	require.Equal(t, "FAKE H100", readings[0].Label())
	require.Equal(t, health.Known(45), readings[0].Temperature)
	require.False(t, readings[0].Power.Known)

	write(`{"script": [{"gpus": [{"uuid": "GPU-1"}]}, {"error": "no driver"}, {"gpus": [{"uuid": "GPU-1", "fault": "GPU is lost"}]}]}`)
	_, err = source.Read(t.Context())
	require.NoError(t, err)
	_, err = source.Read(t.Context())
	require.ErrorIs(t, err, health.ErrNoDriver)
	require.ErrorContains(t, err, "FAKE")
	for range 2 {
		readings, err = source.Read(t.Context())
		require.NoError(t, err)
		ok, _ := health.Healthy(readings[0], health.Limits{})
		require.False(t, ok)
	}
	for text, want := range map[string]string{
		`{"gpu": []}`:             "unknown field",
		`{"error": "fire"}`:       `no error "fire"`,
		`{"gpus": [{}]}`:          "no uuid",
		`{}`:                      "FAKE",
		strings.Repeat("[", 1000): "fake devices",
	} {
		write(text)
		_, err = source.Read(t.Context())
		require.ErrorContains(t, err, want)
	}
	require.NoError(t, os.Remove(path))
	_, err = source.Read(t.Context())
	require.ErrorIs(t, err, health.ErrUnreadable)
}

func TestOpenAsksTheDriverWithoutAFake(t *testing.T) {
	t.Parallel()
	none := func(string) string { return "" }
	require.Equal(t, "nvidia-smi", health.Open(none, nil).Name())
	require.Equal(t, "NVML or nvidia-smi", health.Open(none, []string{"reader"}).Name())
}

func TestReadingsSurviveJSON(t *testing.T) {
	t.Parallel()
	want := health.Reading{
		Fingerprint: health.Fingerprint{UUID: "GPU-1", Index: 2}, Power: health.Known(0), Fake: true,
		Throttle: []health.Throttle{health.ThrottleDisplay}, Xids: []health.Xid{{Code: 13}},
	}
	raw, err := json.Marshal(want)
	require.NoError(t, err)
	require.Contains(t, string(raw), `"power":0,`)
	require.Contains(t, string(raw), `"temperature":null`)
	var got health.Reading
	require.NoError(t, json.Unmarshal(raw, &got))
	require.Equal(t, want, got)
	require.Equal(t, "unknown", got.Temperature.String())
}
