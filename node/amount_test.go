package node

import (
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAmountsHaveTheDecimalsOfTheirToken(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text     string
		decimals uint8
		amount   int64
	}{{"1.5", 6, 1_500_000}, {"10", 0, 10}, {"0.01", 2, 1}, {"0", 6, 0}} {
		amount, err := ParseUnits(c.text, c.decimals)
		require.NoError(t, err, c.text)
		require.Equal(t, c.amount, amount.Int64())
		require.Equal(t, c.text, FormatUnits(big.NewInt(c.amount), c.decimals))
	}
	for text, decimals := range map[string]uint8{"1.5": 0, "1.1234567": 6, "-1": 6, "": 6, "1e3": 6, "1_0": 6} {
		_, err := ParseUnits(text, decimals)
		require.Error(t, err, text)
	}
}
