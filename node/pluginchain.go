package node

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/chain/bindings"
	"github.com/gristmill-zk/gristmill/chain/devnet"
	"github.com/gristmill-zk/gristmill/chain/txmgr"
	"github.com/gristmill-zk/gristmill/internal/service"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
)

// onChain has the real contracts, on an embedded chain that lives for this,
// register the verifying key and check the proof.
func (c *pluginCheck) onChain(ctx context.Context) (result string, err error) {
	dir, err := os.MkdirTemp("", "gristmill-plugin-test-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	v, end, err := c.startVerifier(ctx, dir)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, end()) }()
	if err := v.deploy(ctx, c.bundle); err != nil {
		return "", err
	}
	ok, err := v.verify(ctx, c, c.inputs)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", errors.New("the verifier contract refuses the proof")
	}
	for i := range c.inputs {
		ok, err := v.verify(ctx, c, altered(c.inputs, i))
		if err == nil && ok {
			return "", fmt.Errorf("the verifier contract takes the proof under another value of public input %d", i)
		}
	}
	gas, err := v.gas(ctx, c)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("key registered for %d gas; Groth16Verifier accepts the proof (%d gas) and no altered one", v.registered, gas), nil
}

// verifier is the two contracts that know circuits.
type verifier struct {
	client     *chain.Client
	from       chain.Sender
	keys, at   common.Address
	registered uint64 // gas that it cost to register the key
}

// startVerifier starts a chain in dir and an account with money on it.
func (c *pluginCheck) startVerifier(ctx context.Context, dir string) (_ *verifier, end func() error, err error) {
	var closes []func() error
	end = func() (err error) {
		for i := len(closes) - 1; i >= 0; i-- {
			err = errors.Join(err, closes[i]())
		}
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, end())
		}
	}()
	key, err := crypto.GenerateKey()
	if err != nil {
		return nil, end, err
	}
	d, err := devnet.Start(ctx, devnet.Config{
		DataDir: filepath.Join(dir, "chain"), Logger: c.opts.Logger,
		Alloc: map[common.Address]*big.Int{crypto.PubkeyToAddress(key.PublicKey): whole(1_000)},
	})
	if err != nil {
		return nil, end, err
	}
	closes = append(closes, d.Close)
	client, err := chain.Dial(ctx, d.URL())
	if err != nil {
		return nil, end, err
	}
	closes = append(closes, func() error { client.Close(); return nil })
	manager, err := txmgr.New(ctx, txmgr.Config{Client: client, DB: filepath.Join(dir, "tx.db"), Key: key, Logger: c.opts.Logger})
	if err != nil {
		return nil, end, err
	}
	closes = append(closes, manager.Close)
	var running service.Group
	if err := running.Start(ctx, service.New("transactions", manager.Run)); err != nil {
		return nil, end, err
	}
	closes = append(closes, running.Stop)
	return &verifier{client: client, from: manager}, end, nil
}

// deploy creates the contracts and registers the bundle's key.
func (v *verifier) deploy(ctx context.Context, b *bundle.Bundle) error {
	var err error
	if v.keys, err = create(ctx, v.from, "keys", common.FromHex(bindings.VerifyingKeysMetaData.Bin)); err != nil {
		return err
	}
	code := append(common.FromHex(bindings.Groth16VerifierMetaData.Bin), bindings.NewGroth16Verifier().PackConstructor(v.keys)...)
	if v.at, err = create(ctx, v.from, "verifier", code); err != nil {
		return err
	}
	path, err := b.Path(bundle.PartVerifyingKeyEVM)
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("verifying key: %w", err)
	}
	receipt, err := call(ctx, v.from, "key", v.keys, bindings.NewVerifyingKeys().PackRegister(raw))
	if err != nil {
		return err
	}
	v.registered = receipt.GasUsed
	return nil
}

func (c *pluginCheck) verifyCall(inputs []fr.Element) []byte {
	numbers := make([]*big.Int, len(inputs))
	for i := range inputs {
		numbers[i] = inputs[i].BigInt(new(big.Int))
	}
	return bindings.NewGroth16Verifier().PackVerify(c.bundle.Manifest.VKID, c.proof.Words(), numbers)
}

func (v *verifier) verify(ctx context.Context, c *pluginCheck, inputs []fr.Element) (bool, error) {
	return view(ctx, v.client, v.at, c.verifyCall(inputs), bindings.NewGroth16Verifier().UnpackVerify)
}

func (v *verifier) gas(ctx context.Context, c *pluginCheck) (uint64, error) {
	return v.client.EstimateGas(ctx, ethereum.CallMsg{From: v.from.Address(), To: &v.at, Data: c.verifyCall(c.inputs)})
}
