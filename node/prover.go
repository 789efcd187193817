package node

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/chain/bindings"
	"github.com/gristmill-zk/gristmill/wire"
)

// ProverView is a prover as the chain has it.
type ProverView struct {
	Operator    common.Address `json:"operator"`
	Joined      bool           `json:"joined"`
	Beneficiary common.Address `json:"beneficiary"`
	Stake       *Wei           `json:"stake_wei,omitempty"`
	Capacity    uint32         `json:"capacity"`
	Used        uint32         `json:"used"`
	Paused      bool           `json:"paused"`
	Idle        bool           `json:"idle"`
	Projects    []uint64       `json:"projects"`
	OwedToken   *Wei           `json:"owed_token,omitempty"`
	Decimals    uint8          `json:"token_decimals,omitempty"`
	OwedNative  *Wei           `json:"owed_wei,omitempty"`
}

// Claimed is what a claim took out.
type Claimed struct {
	To     common.Address `json:"to"`
	Token  *Wei           `json:"token"`
	Native *Wei           `json:"wei"`
	// Decimals are the token's.
	Decimals uint8 `json:"token_decimals"`
}

// Join registers the sender as a prover.
func (s *Session) Join(ctx context.Context, from chain.Sender, beneficiary common.Address, capacity uint32, stake *big.Int) error {
	data := bindings.NewProverRegistry().PackJoin(beneficiary, capacity)
	_, err := callWith(ctx, from, intent("prover join"), s.deployment.Parts().Provers, data, stake)
	return err
}

// Stake adds to the sender's stake.
func (s *Session) Stake(ctx context.Context, from chain.Sender, amount *big.Int) error {
	_, err := callWith(ctx, from, intent("prover stake"), s.deployment.Parts().Provers, bindings.NewProverRegistry().PackStake(), amount)
	return err
}

// OptIn makes the sender take projects' tasks, or no more.
func (s *Session) OptIn(ctx context.Context, from chain.Sender, projects []uint64, in bool) error {
	registry := bindings.NewProverRegistry()
	for _, project := range projects {
		data := registry.PackOptOut(project)
		if in {
			data = registry.PackOptIn(project)
		}
		if _, err := call(ctx, from, intent(fmt.Sprintf("prover optin %d", project)), s.deployment.Parts().Provers, data); err != nil {
			return err
		}
	}
	return nil
}

// Claim takes out all that escrow and reward pool owe to the sender.
func (s *Session) Claim(ctx context.Context, from chain.Sender, token, to common.Address) (Claimed, error) {
	out := Claimed{To: to}
	what := intent("claim")
	inToken, native, err := owed(ctx, s.deployment, token, from.Address())
	if err != nil {
		return out, err
	}
	out.Token, out.Native = (*Wei)(inToken), (*Wei)(native)
	if out.Decimals, err = tokenDecimals(ctx, s.client, token); err != nil {
		return out, err
	}
	if inToken.Sign() > 0 {
		if _, err := call(ctx, from, what+"/escrow", s.deployment.Parts().Escrow, bindings.NewEscrow().PackClaim(token, to)); err != nil {
			return out, err
		}
	}
	if native.Sign() > 0 {
		if _, err := call(ctx, from, what+"/rewards", s.deployment.Parts().Rewards, bindings.NewRewardPool().PackClaim(to)); err != nil {
			return out, err
		}
	}
	return out, nil
}

// owed is what an account could claim of a token and of block rewards.
func owed(ctx context.Context, d *chain.Deployment, token, account common.Address) (inToken, native *big.Int, err error) {
	inToken, err1 := d.OwedTokens(ctx, wire.Address(token), wire.Address(account))
	native, err2 := d.OwedRewards(ctx, wire.Address(account))
	return inToken, native, errors.Join(err1, err2)
}

// Prover reads a prover from the chain.
func (s *Session) Prover(ctx context.Context, operator common.Address) (ProverView, error) {
	v := ProverView{Operator: operator}
	p, err := s.deployment.Prover(ctx, wire.Address(operator))
	if err != nil || p.Joined == 0 {
		return v, err
	}
	v.Joined, v.Beneficiary, v.Stake = true, common.Address(p.Beneficiary), (*Wei)(p.Stake)
	v.Capacity, v.Used, v.Paused, v.Idle = p.Capacity, p.Used, p.Paused, p.Idle
	registry := bindings.NewProverRegistry()
	if v.Projects, err = view(ctx, s.client, s.deployment.Parts().Provers, registry.PackOptInsOf(operator), registry.UnpackOptInsOf); err != nil {
		return v, err
	}
	if v.Decimals, err = tokenDecimals(ctx, s.client, s.local.Token); err != nil {
		return v, err
	}
	inToken, native, err := owed(ctx, s.deployment, s.local.Token, v.Beneficiary)
	v.OwedToken, v.OwedNative = (*Wei)(inToken), (*Wei)(native)
	return v, err
}
