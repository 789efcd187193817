package node

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
)

// decimals of the native coin and of the local token.
const decimals = 18

// ParseAmount reads "1.5" as 1.5·10^18.
func ParseAmount(text string) (*big.Int, error) {
	whole, fraction, _ := strings.Cut(text, ".")
	if len(fraction) > decimals {
		return nil, fmt.Errorf("amount %q has more than %d decimals", text, decimals)
	}
	digits := whole + fraction + strings.Repeat("0", decimals-len(fraction))
	amount, ok := new(big.Int).SetString(digits, 10)
	if !ok || whole == "" || strings.ContainsAny(digits, "+-_") {
		return nil, fmt.Errorf("amount %q is not a number like 1.5", text)
	}
	return amount, nil
}

// FormatAmount is the inverse of ParseAmount, without trailing zeros; "0" for nil.
func FormatAmount(amount *big.Int) string {
	if amount == nil || amount.Sign() == 0 {
		return "0"
	}
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(decimals), nil)
	whole, rest := new(big.Int).QuoRem(amount, unit, new(big.Int))
	if rest.Sign() == 0 {
		return whole.String()
	}
	fraction := fmt.Sprintf("%0*s", decimals, rest.Abs(rest).String())
	return whole.String() + "." + strings.TrimRight(fraction, "0")
}

// Wei is an amount that JSON carries as a decimal string, since its numbers
// are too small for it.
type Wei big.Int

// Int gives the amount; nil for nil.
func (w *Wei) Int() *big.Int { return (*big.Int)(w) }

// String is the amount in whole units, "0" for nil.
func (w *Wei) String() string { return FormatAmount(w.Int()) }

// MarshalJSON writes a decimal string.
func (w *Wei) MarshalJSON() ([]byte, error) {
	if w == nil {
		return json.Marshal("0")
	}
	return json.Marshal(w.Int().String())
}
