package wire_test

import (
	"bytes"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	btcwire "github.com/btcsuite/btcd/wire"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gristmill-zk/gristmill/wire"
)

// TestHeaderAgainstBtcd: same bytes, same hash, same text, both ways.
func TestHeaderAgainstBtcd(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOfN(rapid.Byte(), wire.HeaderSize, wire.HeaderSize).Draw(t, "header")
		ours, err := wire.ParseHeader(raw)
		if err != nil {
			t.Fatal(err)
		}
		var theirs btcwire.BlockHeader
		if err := theirs.Deserialize(bytes.NewReader(raw)); err != nil {
			t.Fatal(err)
		}
		encoded := ours.Encode()
		var buf bytes.Buffer
		if err := theirs.Serialize(&buf); err != nil {
			t.Fatal(err)
		}
		hash := theirs.BlockHash()
		switch {
		case !bytes.Equal(encoded[:], buf.Bytes()):
			t.Fatal("encodings differ")
		case ours.Hash() != wire.Hash(hash):
			t.Fatal("hashes differ")
		case ours.Hash().BlockString() != hash.String():
			t.Fatal("texts differ")
		case ours.Version != uint32(theirs.Version), ours.Nonce != theirs.Nonce, ours.Bits != theirs.Bits,
			time.Unix(int64(ours.Time), 0) != theirs.Timestamp,
			ours.Prev != wire.Hash(theirs.PrevBlock), ours.MerkleRoot != wire.Hash(theirs.MerkleRoot):
			t.Fatal("fields differ")
		}
	})
}

// TestBitcoinGenesis checks work, bits and hash on a block everyone knows.
func TestBitcoinGenesis(t *testing.T) {
	t.Parallel()
	merkle, err := chainhash.NewHashFromStr("4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b")
	require.NoError(t, err)
	h := wire.Header{Version: 1, MerkleRoot: wire.Hash(*merkle), Time: 1231006505, Bits: 0x1d00ffff, Nonce: 2083236893}
	require.Equal(t, "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f", h.Hash().BlockString())
	target, err := h.Target()
	require.NoError(t, err)
	require.True(t, h.Hash().MeetsTarget(target))
	require.Equal(t, wire.RejectBadHeaderVersion, wire.CodeOf(h.CheckWork()))
	require.Equal(t, blockchain.CalcWork(h.Bits), wire.Work(target))
}

func TestCompactAgainstBtcd(t *testing.T) {
	t.Parallel()
	check := func(t require.TestingT, bits uint32) {
		theirs := blockchain.CompactToBig(bits)
		ours, err := wire.CompactToTarget(bits)
		if theirs.Sign() <= 0 || theirs.BitLen() > 256 {
			require.Equalf(t, wire.RejectBadBits, wire.CodeOf(err), "0x%08x is %v", bits, theirs)
			return
		}
		require.NoErrorf(t, err, "0x%08x", bits)
		require.Zerof(t, ours.Cmp(theirs), "0x%08x", bits)
		require.Equalf(t, blockchain.BigToCompact(theirs), wire.TargetToCompact(ours), "0x%08x", bits)
	}
	for exponent := uint32(0); exponent < 256; exponent++ {
		for _, mantissa := range []uint32{0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffff, 0x800000, 0x800001, 0xffffff} {
			check(t, exponent<<24|mantissa)
		}
	}
	rapid.Check(t, func(t *rapid.T) { check(t, rapid.Uint32().Draw(t, "bits")) })
	rapid.Check(t, func(t *rapid.T) {
		target := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 32).Draw(t, "target"))
		require.Equal(t, blockchain.BigToCompact(target), wire.TargetToCompact(target))
	})
}

// TestMeetsTargetAgainstBtcd compares through btcd's little-endian reading.
func TestMeetsTargetAgainstBtcd(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := wire.Hash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "hash"))
		value := blockchain.HashToBig((*chainhash.Hash)(&h))
		off := big.NewInt(rapid.Int64Range(-2, 2).Draw(t, "off"))
		target := new(big.Int).Add(value, off)
		if h.MeetsTarget(target) != (off.Sign() >= 0) {
			t.Fatalf("%s against %x", h, target)
		}
	})
}

// TestMerkleAgainstBtcd builds btcd blocks of one-output transactions and
// takes the serialised transactions as our leaves.
func TestMerkleAgainstBtcd(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for n := 1; n <= 33; n++ {
		var txs []*btcutil.Tx
		var leaves [][]byte
		for range n {
			tx := btcwire.NewMsgTx(1)
			tx.AddTxOut(btcwire.NewTxOut(random.Int64(), []byte{byte(n)}))
			tx.AddTxIn(btcwire.NewTxIn(&btcwire.OutPoint{Index: random.Uint32()}, nil, nil))
			var buf bytes.Buffer
			require.NoError(t, tx.Serialize(&buf))
			txs, leaves = append(txs, btcutil.NewTx(tx)), append(leaves, buf.Bytes())
		}
		root, err := wire.MerkleRoot(leaves)
		require.NoError(t, err)
		require.Equal(t, wire.Hash(blockchain.CalcMerkleRoot(txs, false)), root, "%d leaves", n)
	}
	_, err := wire.MerkleRoot(nil)
	require.Equal(t, wire.RejectBadCount, wire.CodeOf(err))
}
