package subprocess_test

import (
	"context"
	"errors"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/internal/subprocess"
)

func TestAsk(t *testing.T) {
	t.Parallel()
	sh := func(script string) *exec.Cmd { return exec.Command("/bin/sh", "-c", script) }
	answer, err := subprocess.Ask(t.Context(), 5, sh("echo 123456789; echo fault >&2"))
	require.NoError(t, err)
	require.Equal(t, "12345", answer.Out)
	require.Equal(t, "fault", answer.Err, "the newline is the sixth byte")
	<-answer.Gone

	answer, err = subprocess.Ask(t.Context(), 100, sh("echo half; exit 3"))
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 3, exit.ExitCode())
	require.Equal(t, "half\n", answer.Out)

	_, err = subprocess.Ask(t.Context(), 100, exec.Command("/no/such/program"))
	require.Error(t, err)

	why := errors.New("enough")
	ctx, stop := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, why)
	defer stop()
	answer, err = subprocess.Ask(ctx, 100, sh("sleep 1000 & sleep 1000"))
	require.ErrorIs(t, err, why)
	<-answer.Gone // a grandchild holds the pipes no longer than it lives
	_, err = subprocess.Ask(ctx, 100, sh("true"))
	require.ErrorIs(t, err, why)
}
