package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// Deployment is deployment.json: which contracts on which chain this data
// directory belongs to. It is written once, when the contracts are there.
type Deployment struct {
	ChainID  uint64         `json:"chain_id"`
	Registry common.Address `json:"registry"`
}

// ErrNoDeployment says that a data directory belongs to no contracts yet.
var ErrNoDeployment = errors.New("no deployment: give --registry, or first run `gristmill up` or `gristmill deploy` on this data directory")

// LoadDeployment reads deployment.json.
func LoadDeployment(dir DataDir) (Deployment, error) {
	var d Deployment
	err := readJSON(dir.Path("deployment.json"), &d)
	if errors.Is(err, fs.ErrNotExist) {
		return d, ErrNoDeployment
	}
	return d, err
}

// Info is where the processes of a data directory listen, so that commands on
// it find them: node.json of `up`, or what roles that run by themselves wrote to
// roles/ROLE.json, each what it knows.
type Info struct {
	PID       int            `json:"pid"`
	Started   time.Time      `json:"started,omitzero"`
	ChainID   uint64         `json:"chain_id,omitempty"`
	Registry  common.Address `json:"registry,omitzero"`
	RPC       string         `json:"rpc,omitempty"`
	Sequencer string         `json:"sequencer,omitempty"`
	Mining    string         `json:"mining,omitempty"`
	Scheduler string         `json:"scheduler,omitempty"`
	Redis     string         `json:"redis,omitempty"` // as --redis takes it, password included: the file is its owner's alone
	Project   uint64         `json:"project,omitempty"`
}

// What looking for running processes may find.
var (
	// ErrNotRunning says that nothing runs on a data directory.
	ErrNotRunning = errors.New("no node is running on this data directory (start one: gristmill up, or gristmill devnet for the chain alone)")
	// ErrStarting says that a process is not ready yet.
	ErrStarting = errors.New("still starting")
)

// upRole is the role of a process that has all of them.
const upRole = "up"

// recorded are the roles that write down where they listen.
var recorded = []string{roleDevnet, roleSequencer, roleScheduler}

// LoadInfo finds what runs on a data directory: the node, else the roles that
// run by themselves. A file counts while its writer holds the role's lock.
func LoadInfo(dir DataDir) (Info, error) {
	info, err := loadRole(dir, upRole)
	if !errors.Is(err, ErrNotRunning) {
		return info, err
	}
	var all Info
	var starting error
	found := false
	for _, role := range recorded {
		info, err := loadRole(dir, role)
		switch {
		case errors.Is(err, ErrStarting):
			starting = err
		case errors.Is(err, ErrNotRunning):
		case err != nil:
			return Info{}, err
		default:
			found = true
			all.merge(info)
		}
	}
	switch {
	case found && all.RPC != "", found && starting == nil:
		return all, nil
	case starting != nil:
		return Info{}, starting
	}
	return Info{}, fmt.Errorf("%w: %s", ErrNotRunning, dir)
}

func (i *Info) merge(other Info) {
	i.RPC = firstOf(i.RPC, other.RPC)
	i.Sequencer = firstOf(i.Sequencer, other.Sequencer)
	i.Mining = firstOf(i.Mining, other.Mining)
	i.Scheduler = firstOf(i.Scheduler, other.Scheduler)
}

func infoPath(dir DataDir, role string) string {
	if role == upRole {
		return dir.Path("node.json")
	}
	return dir.Path("roles", role+".json")
}

func loadRole(dir DataDir, role string) (Info, error) {
	pid, held, err := dir.Holder(role)
	if err != nil {
		return Info{}, err
	}
	if !held {
		return Info{}, ErrNotRunning
	}
	var info Info
	err = readJSON(infoPath(dir, role), &info)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && pid != 0 && info.PID != pid) { // or the file of one that was killed
		name := "gristmill " + role
		if role == upRole {
			name = "the node"
		}
		return Info{}, fmt.Errorf("%s (pid %d) is %w: %s", name, pid, ErrStarting, dir)
	}
	return info, err
}

// record writes down where a role listens, until the process ends. The role's
// lock must be held.
func (g *group) record(role string, info Info) error {
	info.PID, info.Started = os.Getpid(), time.Now().UTC()
	g.info = info
	g.onClose(func() error { return removeInfo(g.opts.Dir, role) })
	return writeJSON(infoPath(g.opts.Dir, role), info)
}

func removeInfo(dir DataDir, role string) error {
	if err := os.Remove(infoPath(dir, role)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// findChain says where the chain's endpoint is: the flag's value, else what
// runs on the data directory. What else runs there is given in any case.
func findChain(dir DataDir, flag string) (url string, info Info, err error) {
	info, err = LoadInfo(dir)
	switch {
	case flag != "" && (err == nil || errors.Is(err, ErrNotRunning) || errors.Is(err, ErrStarting)):
		return flag, info, nil
	case errors.Is(err, ErrStarting):
		return "", info, err
	case err != nil:
		return "", info, fmt.Errorf("no chain: give --rpc; %w", err)
	case info.RPC == "":
		return "", info, fmt.Errorf("no chain: give --rpc, or run gristmill devnet on this data directory: %s", dir)
	}
	return info.RPC, info, nil
}

// awaitChain is findChain for what may be started together with the chain: it
// waits while that is still starting.
func awaitChain(ctx context.Context, g *group) (url string, err error) {
	var final error
	err = retry(ctx, func() (err error) {
		if url, _, err = findChain(g.opts.Dir, g.opts.Endpoints.RPC); errors.Is(err, ErrStarting) {
			return err
		}
		final = err
		return nil
	}, func(err error) { g.opts.Logger.InfoContext(ctx, "waiting for the chain", "error", err) })
	return url, errors.Join(err, final)
}
