package service_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gristmill-zk/gristmill/internal/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBroken = errors.New("broken")

// lasting runs until it is stopped and writes its name when it ends.
func lasting(name string, ended *[]string) *service.Unit {
	return service.New(name, func(ctx context.Context, ready func()) error {
		ready()
		ready() // calling it again is harmless
		<-ctx.Done()
		*ended = append(*ended, name)
		return ctx.Err()
	})
}

func TestStopReturnsWhenTheUnitIsGone(t *testing.T) {
	t.Parallel()
	var ended []string
	u := lasting("a", &ended)
	require.NoError(t, u.Start(t.Context()))
	require.NoError(t, u.Err())
	u.Stop()
	require.Equal(t, []string{"a"}, ended)
	require.NoError(t, u.Err(), "being stopped is no failure")
	u.Stop() // a second time
	require.ErrorContains(t, u.Start(t.Context()), "a: started after it was stopped")
}

func TestStopBeforeStart(t *testing.T) {
	t.Parallel()
	var ended []string
	u := lasting("a", &ended)
	u.Stop()
	u.Stop()
	require.Error(t, u.Start(t.Context()))
	require.Empty(t, ended)
}

func TestStartTwice(t *testing.T) {
	t.Parallel()
	var ended []string
	u := lasting("a", &ended)
	require.NoError(t, u.Start(t.Context()))
	defer u.Stop()
	require.ErrorContains(t, u.Start(t.Context()), "a: started twice")
}

func TestStartTellsWhyAUnitDidNotGetReady(t *testing.T) {
	t.Parallel()
	u := service.New("a", func(context.Context, func()) error { return errBroken })
	require.ErrorIs(t, u.Start(t.Context()), errBroken)
	require.ErrorContains(t, u.Err(), "a: broken")
	u.Stop()
}

func TestUnitThatEndsByItselfHasFailed(t *testing.T) {
	t.Parallel()
	u := service.New("a", func(_ context.Context, ready func()) error { ready(); return nil })
	require.NoError(t, u.Start(t.Context()))
	<-u.Done()
	require.ErrorContains(t, u.Err(), "ended by itself")
}

func TestGroupStopsInReverse(t *testing.T) {
	t.Parallel()
	var ended []string
	var g service.Group
	for _, name := range []string{"a", "b", "c"} {
		require.NoError(t, g.Start(t.Context(), lasting(name, &ended)))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, g.Wait(ctx), "the end of the context is no failure")
	require.NoError(t, g.Stop())
	require.Equal(t, []string{"c", "b", "a"}, ended)
}

func TestGroupWaitGivesTheFailure(t *testing.T) {
	t.Parallel()
	var ended []string
	var g service.Group
	fail := make(chan struct{})
	require.NoError(t, g.Start(t.Context(), lasting("a", &ended)))
	require.NoError(t, g.Start(t.Context(), service.New("b", func(_ context.Context, ready func()) error {
		ready()
		<-fail
		return errBroken
	})))
	close(fail)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.ErrorIs(t, g.Wait(ctx), errBroken)
	require.ErrorIs(t, g.Stop(), errBroken)
	require.Equal(t, []string{"a"}, ended)
}
