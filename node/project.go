package node

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"os"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/chain/bindings"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/wire"
)

// ProjectSpec is what a new project is made of.
type ProjectSpec struct {
	Bundle            string // folder of the circuit's bundle
	Token             common.Address
	Reward            *big.Int
	MaxWait           time.Duration
	AcceptWindow      time.Duration
	ProveWindow       time.Duration
	RecallGrace       time.Duration
	SequencerShareBps uint16
	Sequencers        []common.Address
	Dapp              common.Address
	DappGas           uint32
	// AllowInsecure takes keys of a local setup, on any chain. On embedded
	// chains they are always taken.
	AllowInsecure bool
}

// ProjectView is a project as the chain has it.
type ProjectView struct {
	Project           uint64         `json:"project"`
	Owner             common.Address `json:"owner"`
	Paused            bool           `json:"paused"`
	Version           uint32         `json:"version"`
	VKID              wire.Hash      `json:"vk_id"`
	BundleDigest      wire.Hash      `json:"bundle_digest"`
	BatchSize         uint32         `json:"batch_size"`
	PayloadLimit      uint32         `json:"payload_limit"`
	Token             common.Address `json:"token"`
	Decimals          uint8          `json:"token_decimals"`
	Reward            *Wei           `json:"reward,omitempty"`
	SequencerShareBps uint16         `json:"sequencer_share_bps"`
	Free              *Wei           `json:"escrow_free,omitempty"`
	Withheld          *Wei           `json:"escrow_withheld,omitempty"`
}

// CreateProject registers the bundle's key and opens a project for it.
func (s *Session) CreateProject(ctx context.Context, from chain.Sender, spec ProjectSpec) (uint64, error) {
	b, err := bundle.Open(ctx, spec.Bundle)
	if err != nil {
		return 0, err
	}
	if err := checkKeys(b, s.client.ID(), s.devChain(), spec.AllowInsecure); err != nil {
		return 0, err
	}
	// A project with no version would be left behind if this came out later.
	if spec.Token == (common.Address{}) && spec.Reward.Sign() > 0 {
		return 0, errors.New("no token to pay in: give --token (on a chain of your own: gristmill deploy --local makes one), or --reward 0")
	}
	for name, at := range map[string]common.Address{"--token": spec.Token, "--dapp": spec.Dapp} {
		if err := requireContract(ctx, s.deployment, name, at); err != nil {
			return 0, err
		}
	}
	if err := checkVersion(ctx, s.deployment, versionOf(b, spec), spec); err != nil {
		return 0, err
	}
	what := intent("project create")
	if err := registerKey(ctx, s.deployment, from, b, what); err != nil {
		return 0, err
	}
	project, err := createProject(ctx, s.deployment, from, what)
	if err != nil {
		return 0, err
	}
	return project, shapeProject(ctx, s.deployment, from, project, b, spec, what)
}

// checkVersion applies the registry's limits to a version before anything is
// sent: they would stop it only after the project was made.
func checkVersion(ctx context.Context, d *chain.Deployment, v bindings.Version, spec ProjectSpec) error {
	registry := bindings.NewProjectRegistry()
	at := d.Parts().Projects
	read := func(data []byte, unpack func([]byte) (uint32, error)) (time.Duration, error) {
		n, err := view(ctx, d.Client(), at, data, unpack)
		return time.Duration(n) * time.Second, err
	}
	leastAccept, err1 := read(registry.PackMinAcceptWindow(), registry.UnpackMinAcceptWindow)
	leastProve, err2 := read(registry.PackMinProveWindow(), registry.UnpackMinProveWindow)
	most, err3 := read(registry.PackMAXWINDOW(), registry.UnpackMAXWINDOW)
	share, err4 := view(ctx, d.Client(), at, registry.PackMAXSEQUENCERSHAREBPS(), registry.UnpackMAXSEQUENCERSHAREBPS)
	gas, err5 := view(ctx, d.Client(), at, registry.PackMAXDAPPGAS(), registry.UnpackMAXDAPPGAS)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return err
	}
	for _, w := range []struct {
		flag        string
		value, from time.Duration
	}{
		{"max-wait", spec.MaxWait, 0}, {"accept-window", spec.AcceptWindow, leastAccept},
		{"prove-window", spec.ProveWindow, leastProve}, {"recall-grace", spec.RecallGrace, 0},
	} {
		switch {
		case w.value%time.Second != 0:
			return fmt.Errorf("--%s %s: the contracts count whole seconds", w.flag, w.value)
		case w.value < w.from || w.value > most:
			return fmt.Errorf("--%s %s: this deployment takes %s to %s", w.flag, w.value, w.from, most)
		}
	}
	switch {
	case v.Reward.Sign() < 0 || v.Reward.BitLen() > 128:
		return errors.New("--reward: an amount must fit into 128 bits")
	case v.SequencerShareBps > share:
		return fmt.Errorf("--sequencer-share %d: this deployment takes at most %d", v.SequencerShareBps, share)
	case v.DappGas > gas:
		return fmt.Errorf("--dapp-gas %d: this deployment takes at most %d", v.DappGas, gas)
	}
	return nil
}

// requireContract refuses an address without code; zero means none is wanted.
func requireContract(ctx context.Context, d *chain.Deployment, name string, at common.Address) error {
	if at == (common.Address{}) {
		return nil
	}
	code, err := d.Client().CodeAt(ctx, at, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if len(code) == 0 {
		return fmt.Errorf("%s: there is no contract at %s on this chain", name, at)
	}
	return nil
}

// registerKey puts a bundle's verifying key on chain unless it is there.
func registerKey(ctx context.Context, d *chain.Deployment, from chain.Sender, b *bundle.Bundle, what string) error {
	keys := bindings.NewVerifyingKeys()
	known, err := view(ctx, d.Client(), d.Parts().Keys, keys.PackExists(b.Manifest.VKID), keys.UnpackExists)
	if err != nil || known {
		return err
	}
	path, err := b.Path(bundle.PartVerifyingKeyEVM)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("verifying key: %w", err)
	}
	_, err = call(ctx, from, what+"/key", d.Parts().Keys, keys.PackRegister(data))
	return err
}

// createProject makes a project of the sender's and returns its number.
func createProject(ctx context.Context, d *chain.Deployment, from chain.Sender, what string) (uint64, error) {
	projects := bindings.NewProjectRegistry()
	receipt, err := call(ctx, from, what+"/create", d.Parts().Projects, projects.PackCreate())
	if err != nil {
		return 0, err
	}
	for _, log := range receipt.Logs {
		if created, err := projects.UnpackProjectCreatedEvent(log); err == nil {
			return created.Project, nil
		}
	}
	return 0, errors.New("create project: the transaction tells of no project")
}

// shapeProject adds the version that spec describes unless it is the newest
// already, and lists the sequencers that are not listed.
func shapeProject(ctx context.Context, d *chain.Deployment, from chain.Sender, project uint64, b *bundle.Bundle, spec ProjectSpec, what string) error {
	projects := bindings.NewProjectRegistry()
	at := d.Parts().Projects
	current, err := view(ctx, d.Client(), at, projects.PackCurrentVersion(project), projects.UnpackCurrentVersion)
	if err != nil {
		return err
	}
	add := current == 0
	if !add {
		newest, err := d.Version(ctx, project, current)
		if err != nil {
			return err
		}
		add = newest.BundleDigest != b.Digest
	}
	if add {
		key := fmt.Sprintf("%s/version/%s", what, b.Digest)
		if _, err := call(ctx, from, key, at, projects.PackAddVersion(project, versionOf(b, spec))); err != nil {
			return err
		}
	}
	for _, sequencer := range spec.Sequencers {
		listed, err := d.IsSequencer(ctx, project, wire.Address(sequencer))
		if err != nil {
			return err
		}
		if listed {
			continue
		}
		key := fmt.Sprintf("%s/sequencer/%s", what, sequencer)
		if _, err := call(ctx, from, key, at, projects.PackSetSequencer(project, sequencer, true)); err != nil {
			return err
		}
	}
	return nil
}

func versionOf(b *bundle.Bundle, spec ProjectSpec) bindings.Version {
	c := b.Manifest.Circuit
	return bindings.Version{
		VkId:              b.Manifest.VKID,
		BundleDigest:      b.Digest,
		RewardToken:       spec.Token,
		Reward:            spec.Reward,
		BatchSize:         c.BatchSize,
		PayloadLimit:      c.PayloadLimit,
		MaxWait:           seconds(spec.MaxWait),
		AcceptWindow:      seconds(spec.AcceptWindow),
		ProveWindow:       seconds(spec.ProveWindow),
		RecallGrace:       seconds(spec.RecallGrace),
		SequencerShareBps: spec.SequencerShareBps,
		Outputs:           uint16(len(c.Outputs)),
		Dapp:              spec.Dapp,
		DappGas:           spec.DappGas,
	}
}

func seconds(d time.Duration) uint32 { return uint32(d / time.Second) }

// Deposit pays an amount ("1.5") of a project's reward token into its escrow.
func (s *Session) Deposit(ctx context.Context, from chain.Sender, project uint64, text string) error {
	v, err := s.Project(ctx, project)
	if err != nil {
		return err
	}
	if v.Version == 0 {
		return fmt.Errorf("project %d has no version yet, so no token to pay in", project)
	}
	amount, err := ParseUnits(text, v.Decimals)
	if err != nil {
		return err
	}
	return deposit(ctx, s.deployment, from, project, v.Token, amount, intent("project deposit"))
}

func deposit(ctx context.Context, d *chain.Deployment, from chain.Sender, project uint64, token common.Address, amount *big.Int, what string) error {
	erc20 := bindings.NewGristToken()
	escrow := bindings.NewEscrow()
	if _, err := call(ctx, from, what+"/approve", token, erc20.PackApprove(d.Parts().Escrow, amount)); err != nil {
		return err
	}
	_, err := call(ctx, from, what+"/deposit", d.Parts().Escrow, escrow.PackDeposit(project, token, amount))
	return err
}

// SetDevices lists devices with a project, or strikes them off.
func (s *Session) SetDevices(ctx context.Context, from chain.Sender, project uint64, ids []wire.Hash, allowed bool) error {
	return setDevices(ctx, s.deployment, from, project, ids, allowed, intent("project device"))
}

func setDevices(ctx context.Context, d *chain.Deployment, from chain.Sender, project uint64, ids []wire.Hash, allowed bool, what string) error {
	devices := bindings.NewDeviceRegistry()
	var change [][32]byte
	for _, id := range ids {
		listed, err := d.IsDeviceAllowed(ctx, project, id)
		if err != nil {
			return err
		}
		if listed != allowed {
			change = append(change, id)
		}
	}
	if len(change) == 0 {
		return nil
	}
	_, err := call(ctx, from, what, d.Parts().Devices, devices.PackSetDevices(project, change, allowed))
	return err
}

// Project reads a project from the chain.
func (s *Session) Project(ctx context.Context, project uint64) (ProjectView, error) {
	return readProject(ctx, s.deployment, project)
}

func readProject(ctx context.Context, d *chain.Deployment, project uint64) (ProjectView, error) {
	projects, escrow := bindings.NewProjectRegistry(), bindings.NewEscrow()
	v := ProjectView{Project: project}
	known, err := view(ctx, d.Client(), d.Parts().Projects, projects.PackExists(project), projects.UnpackExists)
	if err != nil {
		return v, err
	}
	if !known {
		return v, fmt.Errorf("project %d does not exist on this deployment", project)
	}
	info, err := d.Project(ctx, project)
	if err != nil {
		return v, err
	}
	v.Owner, v.Paused, v.Version = common.Address(info.Owner), info.Paused, info.Version
	if v.Version == 0 {
		return v, nil
	}
	version, err := d.Version(ctx, project, v.Version)
	if err != nil {
		return v, err
	}
	v.VKID, v.BundleDigest = version.VkId, version.BundleDigest
	v.BatchSize, v.PayloadLimit = version.BatchSize, version.PayloadLimit
	v.Token, v.Reward, v.SequencerShareBps = version.RewardToken, (*Wei)(version.Reward), version.SequencerShareBps
	if v.Decimals, err = tokenDecimals(ctx, d.Client(), v.Token); err != nil {
		return v, err
	}
	free, err := d.FreeEscrow(ctx, project, wire.Address(v.Token))
	if err != nil {
		return v, err
	}
	withheld, err := view(ctx, d.Client(), d.Parts().Escrow, escrow.PackWithheldOf(project, v.Token), escrow.UnpackWithheldOf)
	v.Free, v.Withheld = (*Wei)(free), (*Wei)(withheld)
	return v, err
}

// call sends a transaction to a contract.
func call(ctx context.Context, from chain.Sender, key string, to common.Address, data []byte) (*types.Receipt, error) {
	return callWith(ctx, from, key, to, data, nil)
}

func callWith(ctx context.Context, from chain.Sender, key string, to common.Address, data []byte, value *big.Int) (*types.Receipt, error) {
	receipt, err := from.Send(ctx, chain.Request{Key: key, To: &to, Data: data, Value: value})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return receipt, nil
}
