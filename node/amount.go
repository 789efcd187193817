package node

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/chain/bindings"
)

// decimals of the native coin and of the local token.
const decimals = 18

// ParseAmount reads "1.5" as 1.5·10^18, an amount of the native coin.
func ParseAmount(text string) (*big.Int, error) { return ParseUnits(text, decimals) }

// ParseUnits reads an amount of something with so many decimals.
func ParseUnits(text string, decimals uint8) (*big.Int, error) {
	whole, fraction, _ := strings.Cut(text, ".")
	if len(fraction) > int(decimals) {
		return nil, fmt.Errorf("amount %q has more than %d decimals", text, decimals)
	}
	digits := whole + fraction + strings.Repeat("0", int(decimals)-len(fraction))
	amount, ok := new(big.Int).SetString(digits, 10)
	if !ok || whole == "" || strings.ContainsAny(digits, "+-_") {
		return nil, fmt.Errorf("amount %q is not a number like 1.5", text)
	}
	return amount, nil
}

// FormatAmount is the inverse of ParseAmount, without trailing zeros; "0" for nil.
func FormatAmount(amount *big.Int) string { return FormatUnits(amount, decimals) }

// FormatUnits is the inverse of ParseUnits.
func FormatUnits(amount *big.Int, decimals uint8) string {
	if amount == nil || amount.Sign() == 0 {
		return "0"
	}
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(decimals)), nil)
	whole, rest := new(big.Int).QuoRem(amount, unit, new(big.Int))
	if rest.Sign() == 0 {
		return whole.String()
	}
	fraction := fmt.Sprintf("%0*s", int(decimals), rest.Abs(rest).String())
	return whole.String() + "." + strings.TrimRight(fraction, "0")
}

// tokenDecimals asks a token how many decimals its amounts have. Saying so is
// optional for an ERC-20: without, amounts are in its smallest unit.
func tokenDecimals(ctx context.Context, c *chain.Client, token common.Address) (uint8, error) {
	if token == (common.Address{}) {
		return decimals, nil
	}
	erc20 := bindings.NewGristToken()
	n, err := view(ctx, c, token, erc20.PackDecimals(), func(out []byte) (uint8, error) {
		if len(out) == 0 {
			return 0, nil
		}
		return erc20.UnpackDecimals(out)
	})
	if chain.AsRevert(err) != nil {
		return 0, nil
	}
	return n, err
}

// Wei is an amount that JSON carries as a decimal string, since its numbers
// are too small for it.
type Wei big.Int

// Int gives the amount; nil for nil.
func (w *Wei) Int() *big.Int { return (*big.Int)(w) }

// String is the amount in whole coins, "0" for nil.
func (w *Wei) String() string { return FormatAmount(w.Int()) }

// Units is the amount in whole tokens of so many decimals, "0" for nil.
func (w *Wei) Units(decimals uint8) string { return FormatUnits(w.Int(), decimals) }

// MarshalJSON writes a decimal string.
func (w *Wei) MarshalJSON() ([]byte, error) {
	if w == nil {
		return json.Marshal("0")
	}
	return json.Marshal(w.Int().String())
}
