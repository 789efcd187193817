package chain

import (
	"errors"
	"sync"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"
)

// executionReverted is the JSON-RPC code of a call that the EVM reverted.
const executionReverted = 3

// errorTable finds a Solidity error by its selector.
var errorTable = sync.OnceValue(func() map[[4]byte]abi.Error {
	table := map[[4]byte]abi.Error{}
	add := func(e abi.Error) { table[[4]byte(e.ID[:4])] = e }
	text, _ := abi.NewType("string", "", nil)
	number, _ := abi.NewType("uint256", "", nil)
	add(abi.NewError("Error", abi.Arguments{{Name: "reason", Type: text}}))
	add(abi.NewError("Panic", abi.Arguments{{Name: "code", Type: number}}))
	for _, parsed := range contractABIs() {
		for _, e := range parsed.Errors {
			add(e)
		}
	}
	return table
})

// DecodeRevert names the error in revert data by the ABIs of our contracts.
func DecodeRevert(data []byte) *RevertError {
	r := &RevertError{Data: data}
	if len(data) < 4 {
		return r
	}
	e, ok := errorTable()[[4]byte(data[:4])]
	if !ok {
		return r
	}
	args, err := e.Inputs.Unpack(data[4:])
	if err != nil {
		return r
	}
	r.Name, r.Args = e.Name, args
	return r
}

// AsRevert finds out whether an endpoint's error says that a call reverted;
// nil when it is some other failure.
func AsRevert(err error) *RevertError {
	var r *RevertError
	if errors.As(err, &r) {
		return r
	}
	var withData rpc.DataError
	if errors.As(err, &withData) {
		if text, ok := withData.ErrorData().(string); ok {
			if data, err := hexutil.Decode(text); err == nil {
				return DecodeRevert(data)
			}
		}
	}
	var coded rpc.Error
	if errors.As(err, &coded) && coded.ErrorCode() == executionReverted {
		return DecodeRevert(nil)
	}
	return nil
}
