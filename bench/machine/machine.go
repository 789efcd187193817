package machine

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// Machine is what ran a benchmark. Unknown fields are empty.
type Machine struct {
	CPU   string `json:"cpu"`
	Cores int    `json:"cores"`
	// Threads is how many goroutines run at once (GOMAXPROCS).
	Threads  int    `json:"threads"`
	Memory   int64  `json:"memory_bytes"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
	Kernel   string `json:"kernel"`
	GPUs     []GPU  `json:"gpus"`
	Go       string `json:"go"`
	Gnark    string `json:"gnark"`
	Crypto   string `json:"gnark_crypto"`
	Revision string `json:"revision"`
	// Modified says that the sources differed from the revision.
	Modified bool `json:"modified,omitempty"`
	// LoadAverage is the system's, over the last minute before the benchmark:
	// well above zero, others were using the machine.
	LoadAverage float64 `json:"load_average"`
}

// GPU is one card as its driver names it.
type GPU struct {
	Name   string `json:"name"`
	UUID   string `json:"uuid"`
	Driver string `json:"driver"`
	Memory int64  `json:"memory_bytes"`
}

// Describe reads the machine.
func Describe(ctx context.Context) Machine {
	m := Machine{
		CPU: cpuModel(), Cores: runtime.NumCPU(), Threads: runtime.GOMAXPROCS(0), OS: osName(), Arch: runtime.GOARCH,
		Kernel: firstLine("/proc/sys/kernel/osrelease"), Go: runtime.Version(), GPUs: describeGPUs(ctx),
	}
	m.Memory = procKilobytes("/proc/meminfo", "MemTotal")
	m.LoadAverage, _ = strconv.ParseFloat(firstWord(firstLine("/proc/loadavg")), 64)
	m.versions()
	if m.Revision == "" {
		m.Revision = gitRevision(ctx)
	}
	return m
}

func (m *Machine) versions() {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			m.Revision = s.Value
		case "vcs.modified":
			m.Modified = s.Value == "true"
		}
	}
	for _, dep := range info.Deps {
		switch dep.Path {
		case "github.com/consensys/gnark":
			m.Gnark = dep.Version
		case "github.com/consensys/gnark-crypto":
			m.Crypto = dep.Version
		}
	}
}

// gitRevision is the revision of the working directory, for programs built
// without one and run from their sources; a folder of anything else has none.
func gitRevision(ctx context.Context) string {
	if data, err := os.ReadFile("go.mod"); err != nil || !strings.HasPrefix(string(data), "module github.com/gristmill-zk/gristmill\n") {
		return ""
	}
	out, err := exec.CommandContext(ctx, "git", "rev-parse", "HEAD").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func cpuModel() string {
	for line := range lines("/proc/cpuinfo") {
		name, value, found := strings.Cut(line, ":")
		if found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func osName() string {
	for line := range lines("/etc/os-release") {
		if value, is := strings.CutPrefix(line, "PRETTY_NAME="); is {
			return strings.Trim(value, `"`)
		}
	}
	return runtime.GOOS
}

// procKilobytes is a value of a file of "Name:   123 kB" lines, in bytes; 0
// without it.
func procKilobytes(path, name string) int64 {
	for line := range lines(path) {
		if value, is := strings.CutPrefix(line, name+":"); is {
			n, err := strconv.ParseInt(firstWord(value), 10, 64)
			if err != nil {
				return 0
			}
			return n << 10
		}
	}
	return 0
}

func firstWord(s string) string {
	fields := strings.Fields(s)
	if len(fields) == 0 {
		return ""
	}
	return fields[0]
}

func firstLine(path string) string {
	for line := range lines(path) {
		return line
	}
	return ""
}

// lines yields the lines of a file, none when it can not be read.
func lines(path string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		file, err := os.Open(path)
		if err != nil {
			return
		}
		defer func() { _ = file.Close() }()
		scan := bufio.NewScanner(file)
		for scan.Scan() && yield(scan.Text()) {
		}
	}
}
