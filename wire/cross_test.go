package wire_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"os"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/poseidon2"
	"github.com/consensys/gnark/frontend"
	stdposeidon2 "github.com/consensys/gnark/std/hash/poseidon2"
	"github.com/consensys/gnark/test"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/common/math"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gristmill-zk/gristmill/wire"
)

// readGolden reads a golden file back, as an implementation elsewhere would.
func readGolden[T any](t *testing.T, name string) []T {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	var file struct{ Cases []T }
	require.NoError(t, json.Unmarshal(raw, &file))
	require.NotEmpty(t, file.Cases)
	return file.Cases
}

func TestP2AgainstLibraryHasher(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		elements := make([]fr.Element, rapid.IntRange(0, 20).Draw(t, "count"))
		hasher := poseidon2.NewMerkleDamgardHasher()
		for i := range elements {
			elements[i].SetBytes(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "element"))
			b := elements[i].Bytes()
			_, _ = hasher.Write(b[:])
		}
		got := wire.ElementHash(wire.P2(elements...))
		require.Equal(t, hasher.Sum(nil), got[:])
	})
}

// digestCircuit recomputes a message digest as a circuit does.
type digestCircuit struct {
	Prefix  [3]frontend.Variable // tag, deployment, project
	Device  []frontend.Variable
	Middle  [3]frontend.Variable // nonce, time, payload length
	Payload []frontend.Variable
	Digest  frontend.Variable `gnark:",public"`
}

func (c *digestCircuit) Define(api frontend.API) error {
	hash := func(in ...frontend.Variable) frontend.Variable {
		h, err := stdposeidon2.New(api)
		if err != nil {
			return 0
		}
		h.Write(in...)
		return h.Sum()
	}
	in := append(c.Prefix[:], hash(c.Device...))
	in = append(append(in, c.Middle[:]...), hash(c.Payload...))
	api.AssertIsEqual(hash(in...), c.Digest)
	return nil
}

// TestDigestInCircuit checks the golden digests with gnark's gadget.
func TestDigestInCircuit(t *testing.T) {
	t.Parallel()
	for _, v := range readGolden[messageVector](t, "message.json") {
		payload := must(wire.PayloadElements(hexutil.MustDecode(v.Payload), uint32(parseUint(t, v.PayloadLimit))))
		d := wire.Deployment{ChainID: parseUint(t, v.ChainID), Registry: must(wire.ParseAddress(v.Registry))}
		assignment := &digestCircuit{
			Prefix: [3]frontend.Variable{wire.TagMessage(), d.ID(), v.Project},
			Middle: [3]frontend.Variable{v.Nonce, v.Time, len(hexutil.MustDecode(v.Payload))},
			Digest: v.Digest,
		}
		for _, e := range v.KeyElements {
			assignment.Device = append(assignment.Device, e)
		}
		for _, e := range payload {
			assignment.Payload = append(assignment.Payload, e)
		}
		shape := &digestCircuit{Device: make([]frontend.Variable, len(v.KeyElements)), Payload: make([]frontend.Variable, len(payload))}
		require.NoError(t, test.IsSolved(shape, assignment, ecc.BN254.ScalarField()), v.Name)
		assignment.Middle[0] = 99
		require.Error(t, test.IsSolved(shape, assignment, ecc.BN254.ScalarField()), v.Name)
	}
}

func typedDomain(chainID, registry string) (apitypes.Types, apitypes.TypedDataDomain) {
	types := apitypes.Types{"EIP712Domain": {
		{Name: "name", Type: "string"}, {Name: "version", Type: "string"},
		{Name: "chainId", Type: "uint256"}, {Name: "verifyingContract", Type: "address"},
	}}
	id, _ := math.ParseBig256(chainID)
	return types, apitypes.TypedDataDomain{Name: "gristmill", Version: "1", ChainId: (*math.HexOrDecimal256)(id), VerifyingContract: registry}
}

func requireRecovers(t *testing.T, hash []byte, signature, address string) {
	t.Helper()
	sig := hexutil.MustDecode(signature)
	sig[64] -= 27
	pub, err := crypto.SigToPub(hash, sig)
	require.NoError(t, err)
	require.Equal(t, common.HexToAddress(address), crypto.PubkeyToAddress(*pub))
}

// TestMessageAgainstGoEthereum hashes and recovers golden secp256k1 messages
// with go-ethereum's EIP-712 implementation.
func TestMessageAgainstGoEthereum(t *testing.T) {
	t.Parallel()
	checked := 0
	for _, v := range readGolden[messageVector](t, "message.json") {
		if v.Scheme != wire.SchemeSecp256k1.String() {
			continue
		}
		types, domain := typedDomain(v.ChainID, v.Registry)
		types["Message"] = []apitypes.Type{
			{Name: "project", Type: "uint64"}, {Name: "nonce", Type: "uint64"}, {Name: "time", Type: "uint64"}, {Name: "payload", Type: "bytes"},
		}
		hash, _, err := apitypes.TypedDataAndHash(apitypes.TypedData{
			Types: types, PrimaryType: "Message", Domain: domain,
			Message: apitypes.TypedDataMessage{"project": v.Project, "nonce": v.Nonce, "time": v.Time, "payload": v.Payload},
		})
		require.NoError(t, err)
		require.Equal(t, v.SigningHash, hexutil.Encode(hash))
		requireRecovers(t, hash, v.Signature, v.Key)
		key := crypto.ToECDSAUnsafe(hexutil.MustDecode(v.Secret))
		theirs, err := crypto.Sign(hash, key)
		require.NoError(t, err)
		theirs[64] += 27
		require.Equal(t, v.Signature, hexutil.Encode(theirs))
		checked++
	}
	require.Equal(t, len(messageCases()), checked)
}

func TestAuthorisationAgainstGoEthereum(t *testing.T) {
	t.Parallel()
	for _, v := range readGolden[taskVector](t, "task.json") {
		types, domain := typedDomain(v.ChainID, v.Registry)
		types["TaskAuthorisation"] = []apitypes.Type{
			{Name: "project", Type: "uint64"}, {Name: "version", Type: "uint32"}, {Name: "dataHash", Type: "bytes32"},
			{Name: "dataCommitment", Type: "uint256"}, {Name: "count", Type: "uint32"}, {Name: "size", Type: "uint32"},
			{Name: "expiry", Type: "uint64"},
		}
		hash, _, err := apitypes.TypedDataAndHash(apitypes.TypedData{
			Types: types, PrimaryType: "TaskAuthorisation", Domain: domain,
			Message: apitypes.TypedDataMessage{
				"project": v.Project, "version": v.Version, "dataHash": v.DataHash,
				"dataCommitment": v.DataCommitment, "count": v.Count, "size": v.Size, "expiry": v.Expiry,
			},
		})
		require.NoError(t, err)
		require.Equal(t, v.SigningHash, hexutil.Encode(hash))
		requireRecovers(t, hash, v.Signature, v.Authoriser)
		require.Equal(t, v.Authoriser, must(wire.SecretAddress(hexutil.MustDecode(v.Secret))).String())
	}
}

// TestEd25519AgainstStandardLibrary verifies golden signatures over a digest
// put together here by hand.
func TestEd25519AgainstStandardLibrary(t *testing.T) {
	t.Parallel()
	for _, v := range readGolden[messageVector](t, "message.json") {
		if v.Scheme != wire.SchemeEd25519.String() {
			continue
		}
		d := wire.Deployment{ChainID: parseUint(t, v.ChainID), Registry: must(wire.ParseAddress(v.Registry))}
		encoding := hexutil.MustDecode(v.Encoding)
		id := d.IDBytes()
		preimage := append(append([]byte("gristmill message v1"), id[:]...), encoding[:len(encoding)-65]...)
		digest := sha256.Sum256(preimage)
		require.Equal(t, v.SigningHash, hexutil.Encode(digest[:]))
		require.True(t, ed25519.Verify(hexutil.MustDecode(v.Key), digest[:], hexutil.MustDecode(v.Signature)))
	}
}

func TestAddressTextAgainstGoEthereum(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := wire.Address(rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "address"))
		require.Equal(t, common.Address(a).Hex(), a.String())
	})
}
