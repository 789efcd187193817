package main

import (
	"bytes"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/node"
	"github.com/gristmill-zk/gristmill/wire"
)

func TestJSONForScripts(t *testing.T) {
	t.Parallel()
	print := func(v any) string {
		var out bytes.Buffer
		require.NoError(t, printJSON(&out, v))
		return out.String()
	}
	const checksummed = "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23"
	account := node.Account{Name: "owner", Address: common.HexToAddress(checksummed)}
	require.Contains(t, print(account), checksummed)
	require.Contains(t, print(wire.Address(account.Address)), checksummed)

	waiting := print(node.TaskView{Status: "waiting"})
	for _, absent := range []string{"settled_tx", "amount", "null", "prover", "proof"} {
		require.NotContains(t, waiting, absent)
	}
	require.NotContains(t, print(node.ProjectView{Project: 1}), "null")
	require.NotContains(t, print(node.ProverView{Projects: []uint64{}}), "null")
	require.Contains(t, print(node.ProjectView{Reward: (*node.Wei)(big.NewInt(0))}), `"reward":"0"`)
}
