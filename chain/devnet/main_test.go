package devnet

import (
	"context"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"go.uber.org/goleak"
)

// childDir makes the test binary run a chain in that directory until killed.
const childDir = "GRISTMILL_DEVNET_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := runChild(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m,
		// go-ethereum has one of these per process, and its peer table's
		// database lets this one end half a minute after it was closed.
		goleak.IgnoreAnyFunction("github.com/ethereum/go-ethereum/core.(*txSenderCacher).cache"),
		goleak.IgnoreAnyFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"),
	)
}

func runChild(dir string) error {
	d, err := Start(context.Background(), Config{DataDir: dir, Alloc: alloc(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	fmt.Println(d.URL())
	select {}
}

var (
	payer, _  = crypto.HexToECDSA("00000000000000000000000000000000000000000000000000000000000000a1")
	payerAddr = crypto.PubkeyToAddress(payer.PublicKey)
)

func alloc() map[common.Address]*big.Int {
	return map[common.Address]*big.Int{payerAddr: big.NewInt(1e18)}
}
