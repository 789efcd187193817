package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/internal/solution"
	"github.com/gristmill-zk/gristmill/plugins/proto"
	"github.com/gristmill-zk/gristmill/wire"
)

// Plugin is what is checked.
type Plugin struct {
	Bundle *bundle.Bundle
	// Good are payloads of one task that satisfies the circuit, at least one.
	Good [][]byte
	// Wrong are payloads of tasks that the circuit does not accept, one task
	// each. May be empty: tasks that no plugin may take are made of Good.
	Wrong [][][]byte
}

// Result is what one check found. Err is nil when the plugin passed it.
type Result struct {
	Name string
	Err  error
}

// limit is how long anything that a plugin is asked for may take.
const limit = time.Minute

// endLimit is how long a plugin may go on when its host is gone.
const endLimit = 5 * time.Second

// run is a plugin being checked.
type run struct {
	plugin  Plugin
	maker   *maker
	rows    *bundle.Rows
	process *process
	good    *task
}

// Run does all checks in order, each but the first two with the process of the
// one before it unless that failed. One that needs a connection which an earlier
// one could not make is left out.
func Run(ctx context.Context, p Plugin) ([]Result, error) {
	if len(p.Good) == 0 {
		return nil, errors.New("conformance: Good has no payloads")
	}
	r := &run{plugin: p}
	var err error
	if r.rows, err = p.Bundle.Rows(); err != nil {
		return nil, err
	}
	if r.maker, err = newMaker(&p.Bundle.Manifest.Circuit); err != nil {
		return nil, err
	}
	if r.good, err = r.maker.task(p.Good, nil); err != nil {
		return nil, fmt.Errorf("conformance: good task: %w", err)
	}
	defer func() {
		if r.process != nil {
			r.process.kill()
		}
	}()
	var results []Result
	failed := false
	for _, check := range []struct {
		name string
		do   func(context.Context) error
		// last says that nothing can be checked after a failure.
		last bool
	}{
		{"serve without a host fails", r.noHost, false},
		{"handshake", r.start, true},
		{"describe says what the manifest says", r.describe, false},
		{"solve", r.solve, false},
		{"solve again, with another ticket", r.solveAgain, false},
		{"refuses what is wrong, and goes on", r.refuse, false},
		{"refuses while draining", r.drain, false},
		{"ends with its standard input", r.end, false},
	} {
		if failed {
			// As a host does: who failed may still be at it.
			r.process.kill()
			if err := limited(ctx, r.start); err != nil {
				results = append(results, Result{"starts again after a failure", err})
				break
			}
		}
		err := limited(ctx, check.do)
		results = append(results, Result{check.name, err})
		if err != nil && check.last {
			break
		}
		failed = err != nil && r.process != nil
	}
	return results, ctx.Err()
}

// limited does one thing within the limit.
func limited(ctx context.Context, do func(context.Context) error) error {
	ctx, stop := context.WithTimeout(ctx, limit)
	defer stop()
	return do(ctx)
}

// Failed joins what the failed checks found; nil when there are none.
func Failed(results []Result) error {
	var all []error
	for _, r := range results {
		if r.Err != nil {
			all = append(all, fmt.Errorf("%s: %w", r.Name, r.Err))
		}
	}
	return errors.Join(all...)
}

func (r *run) start(ctx context.Context) (err error) {
	r.process, err = start(ctx, r.plugin.Bundle)
	return err
}

func (r *run) describe(ctx context.Context) error {
	d, err := r.process.rpc.Describe(ctx, &proto.DescribeRequest{})
	if err != nil {
		return err
	}
	m := &r.plugin.Bundle.Manifest
	part, err := r.plugin.Bundle.Part(bundle.PartCircuit)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name      string
		got, want any
	}{
		{"name", d.GetName(), m.Name}, {"version", d.GetVersion(), m.Version},
		{"curve", d.GetCurve(), m.Circuit.Curve}, {"scheme", d.GetScheme(), m.Circuit.Scheme},
		{"device_scheme", d.GetDeviceScheme(), m.Circuit.DeviceScheme},
		{"batch_size", d.GetBatchSize(), m.Circuit.BatchSize}, {"payload_limit", d.GetPayloadLimit(), m.Circuit.PayloadLimit},
		{"constraints", d.GetConstraints(), m.Circuit.Constraints}, {"wires", d.GetWires(), m.Circuit.Wires},
		{"public_wires", d.GetPublicWires(), m.Circuit.PublicWires}, {"commitments", d.GetCommitments(), m.Circuit.Commitments},
		{"outputs", fmt.Sprint(d.GetOutputs()), fmt.Sprint(m.Circuit.Outputs)},
		{"circuit_sha256", fmt.Sprintf("%x", d.GetCircuitSha256()), fmt.Sprintf("%x", part.SHA256[:])},
	} {
		if fmt.Sprint(f.got) != fmt.Sprint(f.want) {
			return fmt.Errorf("%s is %v, the manifest's %v", f.name, f.got, f.want)
		}
	}
	return nil
}

func (r *run) solve(ctx context.Context) error { return r.solved(ctx, r.good) }

// solveAgain gives the same process another task: what it answers must be about
// that one.
func (r *run) solveAgain(ctx context.Context) error {
	other, err := r.maker.task(r.plugin.Good, nil)
	if err != nil {
		return err
	}
	return r.solved(ctx, other)
}

// solved has a task solved and looks at everything that comes back.
func (r *run) solved(ctx context.Context, t *task) error {
	h := r.process.header
	h.Task, h.Ticket = t.id, newTicket()
	clear(r.process.shared.Bytes)
	solved, asked, err := r.call(ctx, t, h.Ticket)
	if err != nil {
		return err
	}
	v := solution.NewVectors(h)
	if err := solution.Take(r.process.shared.Bytes, h, v, func(solution.Piece) {}); err != nil {
		return err
	}
	a, b, c := r.rows.Evaluate(v.W)
	for _, side := range []struct {
		name      string
		got, want fr.Vector
	}{{"A", v.A, a}, {"B", v.B, b}} {
		if !slices.Equal(side.got, side.want) {
			return fmt.Errorf("vector %s does not follow from the wires", side.name)
		}
	}
	for i := range c {
		if v.C[i] != c[i] {
			return fmt.Errorf("constraint %d is not satisfied", i)
		}
	}
	if err := asked.check(v.W); err != nil {
		return err
	}
	return r.public(t, v.W, solved.GetOutputs())
}

// public compares the public wires with the task and the outputs.
func (r *run) public(t *task, w fr.Vector, outputs [][]byte) error {
	names := r.plugin.Bundle.Manifest.Circuit.Outputs
	want := fr.Vector{fr.One(), wire.Binding(t.deployment, t.id, t.prover), t.commitment}
	if len(outputs) != len(names) {
		return fmt.Errorf("%d outputs, the circuit has %d", len(outputs), len(names))
	}
	for i, raw := range outputs {
		var out fr.Element
		if err := out.SetBytesCanonical(raw); err != nil {
			return fmt.Errorf("output %s: %w", names[i], err)
		}
		want = append(want, out)
	}
	for i := range want {
		if !w[i].Equal(&want[i]) {
			return fmt.Errorf("public wire %d of %s is not the task's", i, append([]string{"one", "binding", "dataCommitment"}, names...)[i])
		}
	}
	return nil
}

// refuse gives the plugin tasks that it must not solve.
func (r *run) refuse(ctx context.Context) error {
	wrong, err := r.maker.wrong(r.plugin)
	if err != nil {
		return err
	}
	for _, w := range wrong {
		_, _, err := r.call(ctx, w.task, newTicket())
		switch code := status.Code(err); {
		case err == nil:
			return fmt.Errorf("%s: the plugin solved it", w.name)
		case code != codes.InvalidArgument && code != codes.FailedPrecondition:
			return fmt.Errorf("%s: the status is %s, must be InvalidArgument or FailedPrecondition: %w", w.name, code, err)
		case status.Convert(err).Message() == "":
			return fmt.Errorf("%s: the status has no message", w.name)
		}
	}
	if err := r.solved(ctx, r.good); err != nil {
		return fmt.Errorf("a good task after that: %w", err)
	}
	return nil
}

func (r *run) drain(ctx context.Context) error {
	if _, err := r.process.rpc.Drain(ctx, &proto.DrainRequest{}); err != nil {
		return err
	}
	_, _, err := r.call(ctx, r.good, newTicket())
	switch code := status.Code(err); {
	case err == nil:
		return errors.New("the plugin solved a task")
	case code != codes.Unavailable:
		return fmt.Errorf("the status is %s, must be Unavailable: %w", code, err)
	}
	return nil
}

// end closes standard input, as the kernel does when a host is killed.
func (r *run) end(ctx context.Context) error {
	if err := r.process.stdin.Close(); err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, endLimit)
	defer stop()
	select {
	case <-r.process.gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the process still runs %s later", endLimit)
	}
}

// call is Solve with one task, and what the plugin asked for on the way.
func (r *run) call(ctx context.Context, t *task, ticket [solution.TicketSize]byte) (*proto.Solved, *commitment, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	stream, err := r.process.rpc.Solve(ctx, grpc.MaxCallSendMsgSize(proto.MaxMessage))
	if err != nil {
		return nil, nil, err
	}
	// What can not be sent has its reason in what is received.
	_ = stream.Send(&proto.SolveRequest{Event: &proto.SolveRequest_Task{Task: &proto.Task{
		TaskId: t.id[:], ChainId: t.deployment.ChainID, Registry: t.deployment.Registry[:], Prover: t.prover[:],
		Body: t.body, DataCommitment: t.stated[:], Ticket: ticket[:],
	}}})
	var solved *proto.Solved
	asked := &commitment{of: r.rows.Commitment}
	for {
		reply, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF) && solved != nil:
			return solved, asked, nil
		case errors.Is(err, io.EOF):
			return nil, nil, errors.New("the call ended without a result")
		case err != nil:
			return nil, nil, err
		case solved != nil:
			return nil, nil, errors.New("the plugin went on after its result")
		case reply.GetCommit() != nil:
			answer, err := asked.answer(reply.GetCommit(), r.process.shared.Bytes)
			if err != nil {
				return nil, nil, err
			}
			_ = stream.Send(answer)
		}
		solved = reply.GetSolved()
	}
}
