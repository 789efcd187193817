package circuits

import (
	"encoding/binary"
	"fmt"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/backend/witness"
	cs "github.com/consensys/gnark/constraint/bn254"

	geofence "github.com/gristmill-zk/gristmill/plugins/circuits/geofence/circuit"
	meter "github.com/gristmill-zk/gristmill/plugins/circuits/meter/circuit"
	"github.com/gristmill-zk/gristmill/plugins/sdk"
	"github.com/gristmill-zk/gristmill/wire"
)

// The least domains that a circuit of one message fits.
const (
	meterLeastLog    = 13
	geofenceLeastLog = 14
)

// start is the time of the first measured message.
const start = 1_700_000_000_000

// makeMeter fills the shipped circuit with signed readings.
func makeMeter(log int) (*cs.R1CS, witness.Witness, error) {
	return makeSigned(log, meter.Project(), func(i int) []byte {
		return meter.Reading{EnergyWh: 500 + uint64(i*37%2000), PeriodStart: start, PeriodMs: 900_000}.Encode()
	})
}

// makeGeofence fills the shipped circuit with signed positions.
func makeGeofence(log int) (*cs.R1CS, witness.Witness, error) {
	project, err := geofence.Project()
	if err != nil {
		return nil, nil, err
	}
	return makeSigned(log, project, project.Sample)
}

// makeSigned compiles a shipped circuit with the largest batch that fits and
// fills it with signed messages.
func makeSigned(log int, project *sdk.Project, payload func(i int) []byte) (*cs.R1CS, witness.Witness, error) {
	system, err := fit(log, project)
	if err != nil {
		return nil, nil, err
	}
	body, err := signedTask(project, payload)
	if err != nil {
		return nil, nil, err
	}
	assigned, err := sdk.NewWitness(project, benchDeployment, body, wire.Hash{31: 9}, wire.Address{19: 9})
	if err != nil {
		return nil, nil, err
	}
	full, err := witness.New(ecc.BN254.ScalarField())
	if err != nil {
		return nil, nil, err
	}
	values := make(chan any, len(assigned.Values))
	for _, v := range assigned.Values {
		values <- v
	}
	close(values)
	return system, full, full.Fill(assigned.Public, len(assigned.Values)-assigned.Public, values)
}

// fit sets the project's batch. It starts from one that is about right: a
// message takes a little less than 2^13 constraints or a little more, and more in
// larger batches, where each is compared with every other.
func fit(log int, project *sdk.Project) (*cs.R1CS, error) {
	for batch := min(1<<(log-meterLeastLog), sdk.MaxBatch); batch > 0; {
		project.BatchSize = batch
		system, _, err := sdk.Compile(project)
		if err != nil {
			return nil, err
		}
		have := system.GetNbConstraints()
		if have <= 1<<log && have > 1<<(log-1) {
			return system, nil
		}
		if have <= 1<<(log-1) {
			return nil, fmt.Errorf("%w: a batch of %d, the most there is, has %d constraints", ErrSize, batch, have)
		}
		batch = min(batch-1, batch<<log/have)
	}
	return nil, fmt.Errorf("%w: one message takes more", ErrSize)
}

// benchDeployment is where the measured messages are signed for.
var benchDeployment = wire.Deployment{ChainID: 31337, Registry: wire.Address{0: 0x47, 19: 0x52}}

// signedTask is a full batch, each message signed by a device of its own.
func signedTask(project *sdk.Project, payload func(i int) []byte) (*wire.Body, error) {
	body := &wire.Body{Project: 3, Version: 1}
	for i := range project.BatchSize {
		number := binary.BigEndian.AppendUint32(nil, uint32(i))
		seed := wire.SHA256([]byte("gristmill bench device"), number)
		signer, err := wire.NewSigner(wire.SchemeEdDSABN254, seed[:])
		if err != nil {
			return nil, fmt.Errorf("device %d: %w", i, err)
		}
		m := wire.Message{Project: body.Project, Nonce: uint64(i), Time: start + uint64(i), Payload: payload(i)}
		if err := signer.Sign(benchDeployment, uint32(project.PayloadLimit), &m); err != nil {
			return nil, fmt.Errorf("message %d: %w", i, err)
		}
		body.Messages = append(body.Messages, m)
	}
	return body, nil
}
