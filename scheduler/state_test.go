package scheduler_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/scheduler"
)

// The whole table once more, by rows from and columns to, so that a change of
// it is made twice, knowingly.
const table = `
            discovered fetched dispatched solved proved submitted settled declined lost dead
none        x          .       .          .      .      .         .       .        .    .
discovered  .          x       .          .      .      .         x       x        x    x
fetched     .          .       x          .      x      .         x       x        x    x
dispatched  .          x       .          x      x      .         x       x        x    x
solved      .          x       .          .      x      .         x       x        x    x
proved      .          x       .          .      .      x         x       .        x    x
submitted   .          x       .          .      x      .         x       .        x    x
settled     x          x       .          .      x      .         .       .        x    x
declined    x          x       .          .      x      .         x       .        .    .
lost        x          x       .          .      x      .         x       .        .    x
dead        x          x       .          .      x      .         x       .        x    .
`

func TestTransitionsAreThoseOfTheTable(t *testing.T) {
	t.Parallel()
	rows := strings.Split(strings.TrimSpace(table), "\n")
	columns := strings.Fields(rows[0])
	require.Len(t, columns, len(scheduler.States))
	for _, row := range rows[1:] {
		cells := strings.Fields(row)
		from := scheduler.State(cells[0])
		if from == "none" {
			from = scheduler.None
		}
		for i, cell := range cells[1:] {
			to := scheduler.State(columns[i])
			require.Equal(t, cell == "x", from.CanBecome(to), "%q to %q", from, to)
			if cell == "x" {
				require.NoError(t, from.Check(to))
			} else {
				require.ErrorIs(t, from.Check(to), scheduler.ErrTransition)
			}
		}
	}
}

func TestStatesHaveNames(t *testing.T) {
	t.Parallel()
	for _, state := range scheduler.States {
		parsed, err := scheduler.ParseState(string(state))
		require.NoError(t, err)
		require.Equal(t, state, parsed)
	}
	for _, bad := range []string{"", "Settled", "done"} {
		_, err := scheduler.ParseState(bad)
		require.Error(t, err)
	}
}

func TestViewIsTheFoldOfEvents(t *testing.T) {
	t.Parallel()
	mined := scheduler.ChainEvent{Kind: scheduler.EventMined, Mined: &scheduler.Mined{Project: 3, Count: 2}}
	other := scheduler.ChainEvent{Kind: scheduler.EventMined, Mined: &scheduler.Mined{Project: 4, Count: 9}}
	offered := func(n uint32) scheduler.ChainEvent {
		return scheduler.ChainEvent{Kind: scheduler.EventOffered, Prover: me, Draw: n, AcceptBy: 50}
	}
	accepted := scheduler.ChainEvent{Kind: scheduler.EventAccepted, Prover: me, Deadline: 90}
	waiting := scheduler.ChainEvent{Kind: scheduler.EventWaiting}
	of := func(kind scheduler.ChainEventKind) scheduler.ChainEvent {
		return scheduler.ChainEvent{Kind: kind, Prover: me}
	}
	for name, c := range map[string]struct {
		events   []scheduler.ChainEvent
		status   scheduler.ChainStatus
		held     bool
		offer    uint32
		deadline uint64
	}{
		"nothing":    {nil, scheduler.ChainGone, false, 0, 0},
		"mined":      {[]scheduler.ChainEvent{mined}, scheduler.ChainMined, false, 0, 0},
		"skipped":    {[]scheduler.ChainEvent{mined, of(scheduler.EventSkipped)}, scheduler.ChainSkipped, false, 0, 0},
		"offered":    {[]scheduler.ChainEvent{mined, offered(1)}, scheduler.ChainOffered, true, 1, 0},
		"leaf twice": {[]scheduler.ChainEvent{mined, offered(1), other, of(scheduler.EventSkipped)}, scheduler.ChainOffered, true, 1, 0},
		"bad first":  {[]scheduler.ChainEvent{other, of(scheduler.EventSkipped), mined, waiting}, scheduler.ChainWaiting, false, 1, 0},
		"missed":     {[]scheduler.ChainEvent{mined, offered(1), of(scheduler.EventMissed), waiting}, scheduler.ChainWaiting, false, 2, 0},
		"declined":   {[]scheduler.ChainEvent{mined, offered(1), of(scheduler.EventDeclined), offered(2)}, scheduler.ChainOffered, true, 2, 0},
		"accepted":   {[]scheduler.ChainEvent{mined, offered(1), accepted}, scheduler.ChainAccepted, true, 1, 90},
		"claimed":    {[]scheduler.ChainEvent{mined, waiting, accepted}, scheduler.ChainAccepted, true, 1, 90},
		"reassigned": {[]scheduler.ChainEvent{mined, offered(1), accepted, of(scheduler.EventReassigned), offered(2)}, scheduler.ChainOffered, true, 2, 0},
		"settled":    {[]scheduler.ChainEvent{mined, offered(1), accepted, of(scheduler.EventSettled)}, scheduler.ChainSettled, true, 1, 90},
		"recalled":   {[]scheduler.ChainEvent{mined, offered(1), accepted, of(scheduler.EventRecalled)}, scheduler.ChainRecalled, false, 1, 0},
		"dead":       {[]scheduler.ChainEvent{mined, offered(1), of(scheduler.EventDead)}, scheduler.ChainDead, false, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := scheduler.Fold(c.events)
			require.Equal(t, c.status, v.Status)
			require.Equal(t, c.held, v.Prover == me)
			require.Equal(t, c.offer, v.Offer)
			require.Equal(t, c.deadline, v.Deadline)
			if len(c.events) > 0 {
				require.EqualValues(t, 3, v.Project)
			}
		})
	}
}
