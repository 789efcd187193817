package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
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
var ErrNoDeployment = errors.New("no deployment: give --registry, or start `gristmill up` on this data directory first")

// LoadDeployment reads deployment.json.
func LoadDeployment(dir DataDir) (Deployment, error) {
	var d Deployment
	err := readJSON(dir.Path("deployment.json"), &d)
	if errors.Is(err, fs.ErrNotExist) {
		return d, ErrNoDeployment
	}
	return d, err
}

// Info is node.json: where a running node listens, so that commands on the same
// data directory find it.
type Info struct {
	PID       int            `json:"pid"`
	Started   time.Time      `json:"started"`
	ChainID   uint64         `json:"chain_id"`
	Registry  common.Address `json:"registry"`
	RPC       string         `json:"rpc"`
	Sequencer string         `json:"sequencer"`
	Mining    string         `json:"mining"`
	Scheduler string         `json:"scheduler"`
	Redis     string         `json:"redis"` // as --redis takes it, password included: the file is its owner's alone
	Project   uint64         `json:"project"`
}

// ErrNotRunning says that no node runs on a data directory.
var ErrNotRunning = errors.New("no node is running on this data directory (start one: gristmill up)")

// LoadInfo reads node.json of the node running on a data directory.
func LoadInfo(dir DataDir) (Info, error) {
	var info Info
	err := readJSON(dir.Path("node.json"), &info)
	if errors.Is(err, fs.ErrNotExist) {
		return info, fmt.Errorf("%w: %s", ErrNotRunning, dir)
	}
	if err != nil {
		return info, err
	}
	if err := syscall.Kill(info.PID, 0); errors.Is(err, syscall.ESRCH) {
		return Info{}, fmt.Errorf("%w: %s (pid %d is gone)", ErrNotRunning, dir, info.PID)
	}
	return info, nil
}

func (i Info) save(dir DataDir) error { return writeJSON(dir.Path("node.json"), i) }

func removeInfo(dir DataDir) error {
	if err := os.Remove(dir.Path("node.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
