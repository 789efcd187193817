// Package sdk is what a team writes a circuit plugin with.
//
// A team declares a struct with its public outputs and secret helpers, says in
// Define what must hold between them and the messages, and in Assign how the
// messages become an assignment. Everything that ties a proof to its task is
// the SDK's: it owns the messages, recomputes the data commitment in the
// circuit from their fields, checks every device signature (unless the project
// leaves that to provers and the audit), and binds every public input, so that
// a team can not forget to.
//
//	type Circuit struct {
//		Total frontend.Variable `gnark:"total,public"`
//	}
//	func (c *Circuit) Define(api frontend.API, m *sdk.Messages) error { … }
//
//	func main() { sdk.Main(&sdk.Project{Name: "meter", New: …, Assign: …}) }
//
// Devices sign with eddsa-bn254, made for circuits, or with p256, what secure
// elements have: [Project].DeviceScheme. The gadgets for payloads, ranges,
// fixed-point numbers, devices and times are methods of [Message], [Messages] and
// [FixedPoint] and functions of this package; each says what it costs in
// constraints, which a test pins.
//
// The public inputs are always [binding, dataCommitment, outputs…]. A plugin
// binary answers to four verbs: `export` writes the constraint system and what
// a bundle needs to know of it, `describe` prints the latter, `sample` prints
// messages to try it with, and `serve` is how the host starts it.
//
// A task the plugin refuses because of its messages is an [ErrTask], one whose
// messages do not satisfy the circuit an [ErrUnsatisfied]; neither becomes
// better by trying again. Anything else is a fault of the plugin.
package sdk
