package subprocess_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/gristmill-zk/gristmill/internal/subprocess"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a shell script as a process.
func start(t *testing.T, ctx context.Context, script string) *subprocess.Process {
	t.Helper()
	spawner := subprocess.NewSpawner()
	p := subprocess.NewProcess(ctx, exec.Command("/bin/sh", "-c", script), subprocess.Options{Spawner: spawner})
	require.NoError(t, p.Start(ctx))
	t.Cleanup(func() {
		p.End()
		<-p.Gone()
		p.ClosePipes()
		spawner.Stop()
	})
	return p
}

func TestExitIsReported(t *testing.T) {
	t.Parallel()
	var exit *exec.ExitError
	require.ErrorAs(t, start(t, t.Context(), "exit 3").Exit(), &exit)
	require.Equal(t, 3, exit.ExitCode())
	require.NoError(t, start(t, t.Context(), "true").Exit())
}

func TestEndTakesTheWholeGroupAlong(t *testing.T) {
	t.Parallel()
	p := start(t, t.Context(), "sleep 1000 & echo $!; wait")
	var child int
	buf := make([]byte, 16)
	n, err := p.Stdout().Read(buf)
	require.NoError(t, err)
	for _, digit := range buf[:n-1] {
		child = child*10 + int(digit-'0')
	}
	require.NoError(t, syscall.Kill(child, 0))
	p.End()
	<-p.Gone()
	require.Eventually(t, func() bool { return syscall.Kill(-child, 0) != nil }, time.Minute, time.Millisecond)
	p.End() // of a process that is gone: nothing happens
}

func TestContextEndsAProcessUntilItOutlivesIt(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	short := start(t, ctx, "exec sleep 1000")
	long := start(t, ctx, "exec sleep 1000")
	long.Outlive()
	cancel()
	<-short.Gone()
	select {
	case <-long.Gone():
		t.Fatal("it ended with the context")
	default:
	}
	never := subprocess.NewProcess(ctx, exec.Command("/bin/true"), subprocess.Options{})
	require.ErrorIs(t, never.Start(ctx), context.Canceled)
	require.Empty(t, never.ID())
}

func TestProcessMayOnlyListenInItsDirectory(t *testing.T) {
	t.Parallel()
	p := subprocess.NewProcess(t.Context(), exec.Command("/bin/true"), subprocess.Options{SocketDir: "/run/x"})
	_, _, err := p.PluginToHost("unix", "/run/x/plugin1")
	require.NoError(t, err)
	for _, address := range []string{"/run/x/../y/plugin1", "/run/plugin1", "/run/x/a/b"} {
		_, _, err := p.PluginToHost("unix", address)
		require.Error(t, err, address)
	}
	_, _, err = p.PluginToHost("tcp", "/run/x/plugin1")
	require.Error(t, err)
}

func TestMemoryCanOnlyBeWrittenByWhoMadeIt(t *testing.T) {
	t.Parallel()
	m, err := subprocess.NewMemory("test", 1<<16)
	require.NoError(t, err)
	copy(m.Bytes, "secret")
	view, err := subprocess.MapReadOnly(m.File, 6)
	require.NoError(t, err)
	require.Equal(t, "secret", string(view))
	clear(m.Bytes[:6])
	require.Equal(t, make([]byte, 6), view, "it is one memory")
	require.NoError(t, unix.Munmap(view))

	_, err = unix.Mmap(int(m.File.Fd()), 0, 1<<16, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	require.ErrorIs(t, err, unix.EPERM)
	_, err = m.File.WriteAt([]byte("x"), 0)
	require.ErrorIs(t, err, unix.EPERM)
	require.Error(t, m.File.Truncate(1<<15))
	require.Error(t, m.File.Truncate(1<<17))
	for _, size := range []int64{0, -1, 1<<16 + 1} {
		_, err = subprocess.MapReadOnly(m.File, size)
		require.Error(t, err, size)
	}
	require.NoError(t, m.Close())

	loose, err := subprocess.MemoryFile("loose")
	require.NoError(t, err)
	require.NoError(t, loose.Truncate(100))
	_, err = subprocess.MapReadOnly(loose, 100)
	require.ErrorContains(t, err, "not sealed")
	require.NoError(t, loose.Close())
}

func TestMemoryThatIsNotThereIsRefused(t *testing.T) {
	t.Parallel()
	available, err := subprocess.AvailableMemory("MemTotal:       24684040 kB\nMemAvailable:    4194304 kB\n")
	require.NoError(t, err)
	require.EqualValues(t, 4<<30, available)
	require.NoError(t, subprocess.CheckMemoryWith(3<<30, available))
	for _, size := range []int64{4 << 30, 1 << 55} {
		require.ErrorIs(t, subprocess.CheckMemoryWith(size, available), unix.ENOMEM)
	}
	_, err = subprocess.AvailableMemory("MemTotal: 1 kB\n")
	require.Error(t, err)
}

func TestFilesArePassed(t *testing.T) {
	t.Parallel()
	sender, theirs, err := subprocess.NewFileSender()
	require.NoError(t, err)
	receiver, err := subprocess.NewFileReceiver(theirs)
	require.NoError(t, err)
	var numbers []uint64
	for _, text := range []string{"one", "two", "three"} {
		path := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		f, err := os.Open(path)
		require.NoError(t, err)
		n, err := sender.Send(f, time.Minute)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		numbers = append(numbers, n)
	}
	second, err := receiver.Take(t.Context(), numbers[1])
	require.NoError(t, err)
	text, err := io.ReadAll(second)
	require.NoError(t, err)
	require.Equal(t, "two", string(text))
	require.NoError(t, second.Close())

	why := errors.New("waited long enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	_, err = receiver.Take(ctx, 99)
	require.ErrorIs(t, err, why)
	require.NoError(t, sender.Close())
	_, err = receiver.Take(t.Context(), 99)
	require.ErrorContains(t, err, "receive a file", "nothing more will come")
	_, err = receiver.Take(t.Context(), numbers[0])
	require.NoError(t, err, "what came before is there")
	require.NoError(t, receiver.Close())
}

// Not parallel: the temporary directory is the process's.
func TestSocketsFitWhereverTheTemporaryDirectoryIs(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), strings.Repeat("x", subprocess.MaxRunDir)))
	require.NoError(t, os.Mkdir(os.TempDir(), 0o700))
	d, err := subprocess.NewRunDir("")
	require.NoError(t, err)
	l, err := net.Listen("unix", filepath.Join(d.Path(), "plugin-dir4294967295", "plugin4294967295"))
	require.ErrorIs(t, err, fs.ErrNotExist, "the address is not too long")
	require.Nil(t, l)
	require.NoError(t, d.Remove())
	require.NoDirExists(t, d.Path())
}

func TestCleanMakesOneLine(t *testing.T) {
	t.Parallel()
	require.Equal(t, "a b ?c", subprocess.Clean("a\nb\x1b\xffc"))
	require.Len(t, subprocess.Clean(string(make([]byte, 5000))), 1000+len("…"))
}
