package chain

import (
	"errors"
	"fmt"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/chain/bindings"
)

// answer is an endpoint's error as package rpc gives it.
type answer struct {
	code int
	data any
}

func (a answer) Error() string  { return "execution reverted" }
func (a answer) ErrorCode() int { return a.code }
func (a answer) ErrorData() any { return a.data }

func TestEveryErrorOfEveryContractIsNamed(t *testing.T) {
	t.Parallel()
	abis := contractABIs()
	require.Len(t, abis, 13, "an interface does not parse")
	errorsSeen := 0
	for _, parsed := range abis {
		for name, e := range parsed.Errors {
			errorsSeen++
			got := DecodeRevert(append(e.ID.Bytes()[:4:4], make([]byte, 32*20)...))
			require.Equal(t, name, got.Name)
			require.Len(t, got.Args, len(e.Inputs))
			require.ErrorIs(t, got, ErrReverted)
		}
	}
	require.Greater(t, errorsSeen, 50)
}

func TestDecodeRevertOfOthers(t *testing.T) {
	t.Parallel()
	for _, data := range [][]byte{nil, {1, 2, 3}, {1, 2, 3, 4}, bindings.BlockMinterNotTipErrorID().Bytes()[:4]} {
		r := DecodeRevert(data)
		require.Empty(t, r.Name)
		require.Equal(t, data, r.Data)
		require.Contains(t, r.Error(), fmt.Sprintf("0x%x", data))
	}
	r := DecodeRevert(append(bindings.BlockMinterNotTipErrorID().Bytes()[:4:4], append(common.Hash{1}.Bytes(), common.Hash{2}.Bytes()...)...))
	require.Contains(t, r.Error(), "NotTip(0x01")
}

func TestAsRevert(t *testing.T) {
	t.Parallel()
	data := bindings.RegistryNotSealedErrorID().Bytes()[:4]
	r := AsRevert(fmt.Errorf("wrapped: %w", answer{3, hexutil.Encode(data)}))
	require.NotNil(t, r)
	require.Equal(t, "NotSealed", r.Name)
	require.NotNil(t, AsRevert(answer{3, nil}), "a revert without data")
	require.Nil(t, AsRevert(answer{-32000, nil}), "some other failure")
	require.Nil(t, AsRevert(errors.New("connection refused")))
	require.Nil(t, AsRevert(nil))
	require.Same(t, r, AsRevert(fmt.Errorf("again: %w", r)))
}

func TestNamesOfReasons(t *testing.T) {
	t.Parallel()
	require.Equal(t, "dead", StatusDead.String())
	require.Equal(t, "bad commitment", SkipBadCommitment.String())
	require.Equal(t, "insufficient funds", DeadInsufficientFunds.String())
	require.Equal(t, "unknown (99)", Status(99).String())
}
