package faulty

// Mode is the first byte of a task's payload.
type Mode byte

// The modes.
const (
	Honest Mode = iota
	Crash
	Panic
	Hang
	Fork         // starts a child, then hangs
	ForkAndCrash // starts a child, solves, then ends without being asked
	NoResult     // ends the call without a result
	Stale        // reports success without writing a solution
	Resize       // tries to change the solution file's size, then solves
	Print        // prints lines and its environment, then solves
	WrongOutput  // reports another output than the solution's
	BigOutput    // reports an output above the modulus
	ManyOutputs  // reports one output too many
	Garbage      // puts limbs above the modulus into the solution
	WrongBinding // changes a public wire
	WrongWire    // changes another wire
	WrongRow     // changes the last constraint's right side
	Refuse       // refuses the message
	Unsatisfied  // assigns what the circuit does not allow
	NoTime       // reports a time that is no number

	// Of a circuit with a commitment.
	CommitTwice    // asks for the commitment a second time
	CommitFewer    // asks for a commitment to a value less
	CommitGarbage  // puts limbs above the modulus into the values
	CommitOther    // commits to other values than the solution's
	CommitNever    // answers without having asked for the commitment
	CommitUnasked  // asks for a commitment of a circuit that uses none
	WrongChallenge // puts another challenge on its wire
	CommitKept     // goes by the answer it had in its first solve
)
