package machine

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDescribe(t *testing.T) {
	t.Parallel()
	m := Describe(t.Context())
	require.Equal(t, runtime.Version(), m.Go)
	require.Positive(t, m.Cores)
	require.NotNil(t, m.GPUs, "an empty list, not null, in JSON")
	if runtime.GOOS == "linux" {
		require.Greater(t, m.Memory, int64(1<<20))
		require.NotEmpty(t, m.Kernel)
	}
}

func TestPeakStartsOver(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("read from /proc")
	}
	ResetPeak()
	before := Peak()
	block := make([]byte, 64<<20)
	for i := 0; i < len(block); i += 4096 {
		block[i] = 1
	}
	high := Peak()
	require.GreaterOrEqual(t, high-before, int64(32<<20))
	runtime.KeepAlive(block)
	block = nil
	require.Positive(t, Resident())
	ResetPeak()
	require.Less(t, Peak(), high, "%v", block)
	require.Positive(t, PeakOf(os.Getpid()))
	require.Zero(t, PeakOf(-1))
	require.Positive(t, CPUTime())
}

func TestEnergyCountersStartOver(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	require.Nil(t, openEnergy(root))
	require.Zero(t, (*Energy)(nil).Joules())
	set := func(zone, name, value string) {
		require.NoError(t, os.MkdirAll(filepath.Join(root, zone), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(root, zone, name), []byte(value+"\n"), 0o600))
	}
	for _, zone := range []string{"intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1"} {
		set(zone, "max_energy_range_uj", "10000000")
		set(zone, "energy_uj", "9000000")
	}
	e := openEnergy(root)
	require.NotNil(t, e)
	set("intel-rapl:0", "energy_uj", "9500000")
	set("intel-rapl:0:0", "energy_uj", "9500000")
	require.InDelta(t, 0.5, e.Joules(), 1e-9, "a part is in its package's sum")
	set("intel-rapl:0", "energy_uj", "1000000")
	set("intel-rapl:1", "energy_uj", "9000001")
	require.InDelta(t, 1.500001, e.Joules(), 1e-9)
}

func TestGPUs(t *testing.T) {
	t.Parallel()
	require.Equal(t, []GPU{{Name: "NVIDIA X", UUID: "GPU-1", Driver: "550.54", Memory: 81559 << 20}},
		parseGPUs("NVIDIA X, GPU-1, 550.54, 81559\nsomething else\n"))
	now := time.Unix(0, 0)
	w := newWatch(nil, func() time.Time { now = now.Add(500 * time.Millisecond); return now })
	w.read(strings.NewReader("GPU-1, 100.0, 1000\nGPU-1, 200.0, 3000\nnoise\nGPU-1, [N/A], 2000\n"))
	joules, peak := w.Take("GPU-1")
	require.InDelta(t, 150, joules, 1e-9, "100 W and 200 W, half a second each")
	require.Equal(t, int64(3000<<20), peak)
	joules, peak = w.Take("GPU-1")
	require.Zero(t, joules)
	require.Zero(t, peak)
	w.read(strings.NewReader("GPU-1, 300.0, 1\n"))
	joules, _ = w.Take("GPU-1")
	require.InDelta(t, 150, joules, 1e-9, "300 W since the last reading, half a second ago")
	(*Watch)(nil).Close()
	joules, _ = (*Watch)(nil).Take("GPU-1")
	require.Zero(t, joules)
}
