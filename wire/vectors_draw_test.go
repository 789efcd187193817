package wire_test

import (
	"math/big"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/wire"
)

// candidate is one entry of a project's list of provers.
type candidate struct {
	account  wire.Address
	room, up bool
}

// maxProbes is how many places of the list a draw looks at.
const maxProbes = 8

// drawSeed is what decides a draw.
func drawSeed(block, task wire.Hash, attempt uint8) wire.Hash {
	word := make([]byte, 32)
	word[31] = attempt
	return wire.Keccak256(block[:], task[:], word)
}

// draw is the contract's draw, written from docs/protocol.md. It returns who is
// drawn, zero for nobody, and the list as the draw leaves it.
func draw(list []candidate, seed wire.Hash, except wire.Address) (wire.Address, []candidate) {
	list = slices.Clone(list)
	if len(list) == 0 {
		return wire.Address{}, list
	}
	place := new(big.Int).Mod(new(big.Int).SetBytes(seed[:]), big.NewInt(int64(len(list))))
	i := int(place.Int64())
	for range maxProbes {
		c := list[i]
		switch {
		case !c.up: // taken out, the last comes to its place
			last := len(list) - 1
			list[i] = list[last]
			list = list[:last]
			if last == 0 {
				return wire.Address{}, list
			}
			i %= last
		case c.room && (c.account != except || len(list) == 1):
			return c.account, list
		default:
			i = (i + 1) % len(list)
		}
	}
	return wire.Address{}, list
}

// provers are n of them; full, down tell which have no room or went down.
func provers(n int, full, down func(i int) bool) (list []candidate) {
	for i := range n {
		list = append(list, candidate{account: account(byte(0x10 + 7*i)), room: !full(i), up: !down(i)})
	}
	return list
}

func TestVectorsDraw(t *testing.T) {
	t.Parallel()
	type vector struct {
		Name      string   `json:"name"`
		BlockHash string   `json:"blockHash"`
		TaskID    string   `json:"taskId"`
		Attempt   string   `json:"attempt"`
		Seed      string   `json:"seed"`
		Active    []string `json:"active"`
		Room      []string `json:"room"`
		Up        []string `json:"up"`
		Except    string   `json:"except"`
		Drawn     string   `json:"drawn"`
		Left      string   `json:"left"`
	}
	none := func(int) bool { return false }
	all := func(int) bool { return true }
	but := func(free ...int) func(int) bool { return func(i int) bool { return !slices.Contains(free, i) } }
	only := func(some ...int) func(int) bool { return func(i int) bool { return slices.Contains(some, i) } }
	nobody := -1
	flag := map[bool]string{true: "1", false: "0"}
	var cases []vector
	hits := map[string]map[string]bool{}
	for _, c := range []struct {
		name   string
		list   []candidate
		except int
	}{
		{"nobody", nil, nobody},
		{"one", provers(1, none, none), nobody},
		{"one full", provers(1, all, none), nobody},
		{"three", provers(3, none, none), nobody},
		{"three, one full", provers(3, only(1), none), nobody},
		{"three, one excepted", provers(3, none, none), 0},
		{"three, one excepted, the others full", provers(3, but(0), none), 0},
		{"three, one excepted, the others down", provers(3, none, but(0)), 0},
		{"the excepted alone", provers(1, none, none), 0},
		{"three, all down", provers(3, none, all), nobody},
		{"nine, eight full", provers(9, but(4), none), nobody},
		{"twelve, eleven full", provers(12, but(11), none), nobody},
		{"twelve, ten down", provers(12, none, but(2, 9)), nobody},
		{"ten, some down, some full, one excepted", provers(10, only(0, 3, 6), only(1, 4, 8)), 2},
	} {
		hits[c.name] = map[string]bool{}
		for attempt := range uint8(8) {
			block, task := filled(0xb0+attempt), filled(0x40)
			seed := drawSeed(block, task, attempt+1)
			v := vector{
				Name: c.name, BlockHash: block.String(), TaskID: task.String(), Attempt: dec(attempt + 1), Seed: seed.String(),
				Active: []string{}, Room: []string{}, Up: []string{},
			}
			var except wire.Address
			for i, p := range c.list {
				v.Active, v.Room, v.Up = append(v.Active, p.account.String()), append(v.Room, flag[p.room]), append(v.Up, flag[p.up])
				if i == c.except {
					except = p.account
				}
			}
			drawn, left := draw(c.list, seed, except)
			v.Except, v.Drawn, v.Left = except.String(), drawn.String(), dec(len(left))
			hits[c.name][v.Drawn] = true
			cases = append(cases, v)
		}
	}
	zero := wire.Address{}.String()
	for name, want := range map[string][2]int{ // how many different answers, and whether nobody is one of them
		"three": {3, 0}, "three, one excepted": {2, 0}, "the excepted alone": {1, 0}, "three, one excepted, the others full": {1, 1},
		"three, one excepted, the others down": {1, 0}, "nine, eight full": {2, 1}, "twelve, eleven full": {2, 1},
	} {
		require.Len(t, hits[name], want[0], name)
		require.Equal(t, want[1] == 1, hits[name][zero], name)
	}
	golden(t, "draw.json", cases)
}
