package sequencer

import (
	"context"
	"errors"
	"math/big"

	"github.com/gristmill-zk/gristmill/wire"
)

// priced are a version's terms and what is there to pay for it.
type priced struct {
	Terms
	free *big.Int // the project's escrow, in the version's token, that no task holds
}

// funded says whether the escrow pays for n tasks.
func (p *priced) funded(n int64) bool {
	return p.free.Cmp(new(big.Int).Mul(p.Reward, big.NewInt(n))) >= 0
}

// projectView is what the sequencer believes about a project for a moment,
// with the terms of its current version.
type projectView struct {
	Project
	priced
	listed bool // our key may authorise its tasks
}

type termsKey struct {
	project uint64
	version uint32
}

type deviceKey struct {
	project uint64
	device  wire.Hash
}

// projects are the cached questions about projects.
type projects struct {
	chain   Chain
	key     wire.Address
	count   *cache[struct{}, uint64]
	views   *cache[uint64, projectView]
	terms   *cache[termsKey, priced]
	devices *cache[deviceKey, bool]
}

func newProjects(cfg *Config, key wire.Address) *projects {
	p := &projects{chain: cfg.Chain, key: key}
	p.count = newCache(cfg.CacheFor, func(ctx context.Context, _ struct{}) (uint64, error) { return p.chain.Projects(ctx) })
	p.views = newCache(cfg.CacheFor, p.loadView)
	p.views.keeps = func(err error) bool { return errors.Is(err, ErrNoProject) }
	p.terms = newCache(cfg.CacheFor, p.loadTerms)
	p.devices = newCache(cfg.CacheFor, func(ctx context.Context, k deviceKey) (bool, error) {
		return p.chain.DeviceAllowed(ctx, k.project, k.device)
	})
	return p
}

func (p *projects) loadView(ctx context.Context, id uint64) (projectView, error) {
	var v projectView
	var err error
	if v.Project, err = p.chain.Project(ctx, id); err != nil {
		return v, err
	}
	if v.priced, err = p.terms.get(ctx, termsKey{id, v.Version}); err != nil {
		return v, err
	}
	v.listed, err = p.chain.IsSequencer(ctx, id, p.key)
	return v, err
}

func (p *projects) loadTerms(ctx context.Context, k termsKey) (t priced, err error) {
	if t.Terms, err = p.chain.Terms(ctx, k.project, k.version); err != nil {
		return t, err
	}
	t.free, err = p.chain.Funds(ctx, k.project, t.Token)
	return t, err
}

// view is what is believed about a project. Numbers that no project has cost
// the chain nothing: anyone may ask for any.
func (p *projects) view(ctx context.Context, project uint64) (projectView, error) {
	count, err := p.count.get(ctx, struct{}{})
	if err != nil {
		return projectView{}, err
	}
	if project == 0 || project > count {
		return projectView{}, ErrNoProject
	}
	return p.views.get(ctx, project)
}

// changed drops what is believed about a project.
func (p *projects) changed(project uint64) {
	p.count.forget(func(struct{}) bool { return true })
	p.views.forget(func(k uint64) bool { return k == project })
	p.terms.forget(func(k termsKey) bool { return k.project == project })
	p.devices.forget(func(k deviceKey) bool { return k.project == project })
}

// admit says whether the project takes messages through this sequencer.
func (p *projects) admit(ctx context.Context, project uint64) (projectView, error) {
	v, err := p.view(ctx, project)
	switch {
	case errors.Is(err, ErrNoProject):
		return v, refuse(wire.RejectUnknownProject, "project", "the chain has no project %d", project)
	case err != nil:
		return v, unavailable(err)
	case !v.listed:
		return v, refuse(wire.RejectUnknownProject, "project", "project %d does not list this sequencer's key %s", project, p.key)
	case v.Paused:
		return v, refuse(wire.RejectProjectPaused, "project", "project %d is paused by its owner", project)
	case !v.funded(1):
		return v, refuse(wire.RejectOutOfFunds, "project", "the escrow of project %d does not pay for another task", project)
	}
	return v, nil
}

// admitDevice says whether the project takes messages of the device.
func (p *projects) admitDevice(ctx context.Context, project uint64, device wire.Hash) error {
	allowed, err := p.devices.get(ctx, deviceKey{project, device})
	switch {
	case err != nil:
		return unavailable(err)
	case !allowed:
		return refuse(wire.RejectDeviceNotAllowed, "key", "device %s is not listed by project %d", device, project)
	}
	return nil
}
