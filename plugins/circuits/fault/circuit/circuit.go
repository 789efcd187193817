// Package circuit is the plugin fault: it proves the first byte of a message and
// misbehaves on the way, as the message says.
//
// A message is the name of a [Mode], and for some a path after a blank. Whatever
// the plugin tries and is not killed for, it tells in a note of progress, which
// begins with the mode's name: what it got hold of, or why not. Then it solves
// the task like an honest plugin.
package circuit

import (
	"fmt"
	"strings"

	"github.com/consensys/gnark/frontend"

	"github.com/gristmill-zk/gristmill/plugins/sdk"
)

// Mode is what a message asks for.
type Mode string

// The modes.
const (
	Honest Mode = "honest"

	// In Solve, without an end or with a bad one.
	Hang         Mode = "hang"          // never answers
	IgnoreCancel Mode = "ignore-cancel" // never answers, nor to being drained
	Crash        Mode = "crash"         // ends
	Panic        Mode = "panic"         // ends as Go programs do
	Memory       Mode = "memory"        // takes memory until it gets no more

	// Reaching out; then it solves.
	ForkBomb Mode = "fork-bomb" // starts processes that start processes
	Child    Mode = "child"     // leaves a process behind that hides from its group
	Fill     Mode = "fill"      // fills the directory of its socket
	Read     Mode = "read"      // reads the file named, by default /etc/shadow
	Write    Mode = "write"     // writes the file named, by default one in /tmp
	TCP      Mode = "tcp"       // listens and connects
	Signal   Mode = "signal"    // sends its host a signal
	Shared   Mode = "shared"    // takes memory that its limit does not count

	// Wrong answers.
	WrongWitness Mode = "wrong-witness" // changes a wire
	WrongOutput  Mode = "wrong-output"  // reports another output than the solution's
	Garbage      Mode = "garbage"       // fills the solution with what are no field elements
	Short        Mode = "short"         // leaves out most of the solution
	AnswerTwice  Mode = "answer-twice"
	Huge         Mode = "huge" // answers with 100 MB
)

// What a plugin does before it has seen a message is set with the batch size of
// its bundle.
const (
	BatchNormal = 1
	BatchCrash  = 2 // it ends at its start
	BatchSlow   = 3 // it is never ready
)

// PayloadLimit is the longest message.
const PayloadLimit = 62

// Parse splits a message into what to do and with which file.
func Parse(payload []byte) (Mode, string) {
	name, path, _ := strings.Cut(string(payload), " ")
	return Mode(name), path
}

type first struct {
	First frontend.Variable `gnark:"first,public"`
}

func (c *first) Define(api frontend.API, m *sdk.Messages) error {
	api.AssertIsEqual(c.First, m.Items[0].Bytes()[0])
	return nil
}

// Project describes the circuit.
func Project() *sdk.Project {
	return &sdk.Project{
		Name: "fault", Version: "1.0.0", BatchSize: BatchNormal, PayloadLimit: PayloadLimit, UncheckedSignatures: true,
		New: func(int) sdk.Circuit { return &first{} },
		Assign: func(t sdk.Task) (sdk.Circuit, error) {
			payload := t.Messages[0].Payload
			if len(payload) == 0 {
				return nil, fmt.Errorf("message 0 is empty: it must name a mode")
			}
			return &first{First: payload[0]}, nil
		},
		Sample: func(int) []byte { return []byte(Honest) },
	}
}
