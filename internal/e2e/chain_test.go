//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/chain/bindings"
	"github.com/gristmill-zk/gristmill/wire"
)

// settled reads from chain events and bodies how often each message was settled.
func (f *farm) settled() map[wire.Hash]int {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, err := ethclient.DialContext(ctx, "http://"+f.ports["rpc"])
	require.NoError(f.t, err)
	defer client.Close()

	registry := bindings.NewRegistry()
	out, err := client.CallContract(ctx, ethereum.CallMsg{To: (*common.Address)(ptr(f.deployment().Registry)), Data: registry.PackParts()}, nil)
	require.NoError(f.t, err)
	parts, err := registry.UnpackParts(out)
	require.NoError(f.t, err)
	logs, err := client.FilterLogs(ctx, ethereum.FilterQuery{FromBlock: new(big.Int), Addresses: []common.Address{parts.Tasks}})
	require.NoError(f.t, err)

	tasks := bindings.NewTaskManager()
	data := map[wire.Hash]wire.Hash{}
	count := map[wire.Hash]int{}
	for i := range logs {
		if mined, err := tasks.UnpackTaskMinedEvent(&logs[i]); err == nil {
			data[mined.TaskId] = mined.Task.DataHash
		}
		settled, err := tasks.UnpackTaskSettledEvent(&logs[i])
		if err != nil {
			continue
		}
		for _, id := range f.messages(data[settled.TaskId]) {
			count[id]++
		}
	}
	return count
}

// messages are the ids in the body with a hash.
func (f *farm) messages(hash wire.Hash) []wire.Hash {
	f.t.Helper()
	resp, err := httpClient.Get("http://" + f.ports["sequencer"] + "/v1/data/" + hash.String())
	require.NoError(f.t, err)
	defer func() { _ = resp.Body.Close() }()
	require.Equal(f.t, http.StatusOK, resp.StatusCode, "body %s", hash)
	raw, err := io.ReadAll(resp.Body)
	require.NoError(f.t, err)
	require.Equal(f.t, hash, wire.DataHash(raw), "body served under another hash")
	var body wire.Body
	require.NoError(f.t, body.UnmarshalBinary(raw))
	ids := make([]wire.Hash, len(body.Messages))
	for i := range body.Messages {
		ids[i], err = body.Messages[i].ID()
		require.NoError(f.t, err)
	}
	return ids
}

// requireAllSettledOnce waits until every acknowledged message is settled and
// checks that none is twice and none is there that nobody acknowledged.
func (f *farm) requireAllSettledOnce(l *ledger, limit time.Duration) {
	f.t.Helper()
	var missing int
	require.Eventually(f.t, func() bool {
		if f.up != nil && f.up.dead() {
			f.t.Errorf("the node ended while messages were waiting: %v", f.up.err)
			return true
		}
		settled := f.settled()
		missing = 0
		for id := range l.ids() {
			if settled[id] == 0 {
				missing++
			}
		}
		return missing == 0
	}, limit, time.Second, "acknowledged messages are not settled")
	settled := f.settled()
	acked := l.ids()
	for id, times := range settled {
		require.Equal(f.t, 1, times, "message %s was settled %d times", id, times)
		require.True(f.t, acked[id], "message %s was settled but never acknowledged", id)
	}
	require.Len(f.t, settled, len(acked))
}

func ptr[T any](v T) *T { return &v }

// settledTask is the id of a settled task. The chain knows of a settlement
// before the scheduler that asked for it does.
func (f *farm) settledTask() (id wire.Hash) {
	f.t.Helper()
	require.Eventually(f.t, func() bool {
		var page struct {
			Tasks []struct {
				ID    wire.Hash `json:"id"`
				State string    `json:"state"`
			} `json:"tasks"`
		}
		resp, err := httpClient.Get("http://" + f.ports["scheduler"] + "/v1/tasks")
		if err != nil {
			return false
		}
		defer func() { _ = resp.Body.Close() }()
		if json.NewDecoder(resp.Body).Decode(&page) != nil {
			return false
		}
		for _, task := range page.Tasks {
			if task.State == "settled" {
				id = task.ID
				return true
			}
		}
		return false
	}, 30*time.Second, 100*time.Millisecond, "no settled task in the scheduler's list")
	return id
}

// changeLastNumber writes a copy of a JSON list of decimal numbers whose last
// one is higher by one.
func changeLastNumber(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	var numbers []string
	require.NoError(t, json.Unmarshal(data, &numbers))
	last, ok := new(big.Int).SetString(numbers[len(numbers)-1], 10)
	require.True(t, ok)
	numbers[len(numbers)-1] = last.Add(last, big.NewInt(1)).String()
	changed, err := json.Marshal(numbers)
	require.NoError(t, err)
	out := filepath.Join(t.TempDir(), "public.json")
	require.NoError(t, os.WriteFile(out, changed, 0o600))
	return out
}
