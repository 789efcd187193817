package chain

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
)

// Request is one transaction a caller wants on chain exactly once.
type Request struct {
	// Key names the intent ("settle/<task>/<attempt>"). The same key never
	// makes a second transaction; with other content it is [ErrKeyReused].
	Key string
	// To is the called contract; nil deploys Data.
	To *common.Address
	// Data is the calldata or the init code.
	Data []byte
	// Value is the wei sent along; nil sends none.
	Value *big.Int
	// Gas is the gas limit; 0 estimates it, which also finds a call that
	// would revert before a nonce is spent on it.
	Gas uint64
}

// Sender sends transactions from one account.
type Sender interface {
	// Send returns when the transaction is mined and confirmed. A call the
	// contracts refuse is a *RevertError; with a receipt beside it when it was
	// mined, without one when estimation found it.
	Send(ctx context.Context, r Request) (*types.Receipt, error)
	// Address is the account that pays and signs.
	Address() common.Address
}

// What errors.Is finds in a failed Send or Await.
var (
	// ErrReverted says that the contracts refused the call.
	ErrReverted = errors.New("reverted")
	// ErrKeyReused says that the key already names another transaction.
	ErrKeyReused = errors.New("request key names another transaction")
	// ErrUnknownKey says that nothing was ever sent under the key.
	ErrUnknownKey = errors.New("nothing was sent under the request key")
	// ErrInsufficientFunds says that the account cannot pay value and gas.
	ErrInsufficientFunds = errors.New("insufficient funds")
)

// RevertError is a call that the contracts refused.
type RevertError struct {
	// Name is the Solidity error ("NotEnoughWork"), "Error" for a reason
	// string, "Panic" for a checked failure, "" when the data is not ours.
	Name string
	// Args are the error's arguments in order.
	Args []any
	// Data is the raw revert data; may be empty.
	Data []byte
}

func (e *RevertError) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("reverted with data 0x%x", e.Data)
	}
	args := make([]string, len(e.Args))
	for i, a := range e.Args {
		args[i] = formatArg(a)
	}
	return fmt.Sprintf("reverted: %s(%s)", e.Name, strings.Join(args, ", "))
}

// Is makes errors.Is(err, ErrReverted) hold.
func (e *RevertError) Is(target error) bool { return target == ErrReverted }

func formatArg(a any) string {
	switch v := a.(type) {
	case [32]byte:
		return fmt.Sprintf("0x%x", v)
	case []byte:
		return fmt.Sprintf("0x%x", v)
	case string:
		return fmt.Sprintf("%q", v)
	}
	return fmt.Sprint(a)
}
