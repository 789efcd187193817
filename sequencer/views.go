package sequencer

import (
	"context"
	"database/sql"
	"fmt"
	"math/big"

	"github.com/gristmill-zk/gristmill/wire"
)

// States of a message.
const (
	statePending = "pending" // waits for a batch
	stateBatched = "batched" // in a body that no live task of the chain has
	stateMined   = "mined"   // in a body that a live task of the chain has
	stateSettled = "settled"
	stateRefused = "refused"
)

// States of a batch; the states mined, settled and refused are shared.
const (
	batchOpen      = "open"      // to be offered in the next block
	batchSplitting = "splitting" // waits until its authorisations have expired
	batchSplit     = "split"     // its messages are free again
)

// MessageView is what the sequencer knows about a message.
type MessageView struct {
	ID      wire.Hash `json:"id" doc:"SHA-256 of the message's encoding."`
	Project uint64    `json:"project"`
	Device  wire.Hash `json:"device" doc:"The device's id."`
	Nonce   uint64    `json:"nonce"`
	State   string    `json:"state" enum:"pending,batched,mined,settled,refused" doc:"How far it has come."`
	Reason  string    `json:"reason,omitempty" doc:"Why it was refused."`
	// DataHash and TaskID are set once there is a body and a task.
	DataHash *wire.Hash `json:"data_hash,omitempty" doc:"The body it is in."`
	TaskID   *wire.Hash `json:"task_id,omitempty" doc:"The newest task of that body."`
}

const selectMessage = `
	SELECT m.id, m.project, m.device, m.nonce, m.batch IS NOT NULL, m.refused, b.state, b.reason, b.data_hash,
	       (SELECT t.id FROM tasks t WHERE t.batch = m.batch ORDER BY t.height DESC LIMIT 1)
	FROM messages m LEFT JOIN batches b ON b.id = m.batch WHERE m.id = ?`

// loadMessage gives sql.ErrNoRows for a message nobody sent.
func loadMessage(ctx context.Context, q querier, id wire.Hash) (MessageView, error) {
	var v MessageView
	var nonce, dataHash, task []byte
	var batched bool
	var refused, state, reason sql.NullString
	err := q.QueryRowContext(ctx, selectMessage, id[:]).Scan(hashArg{&v.ID}, &v.Project, hashArg{&v.Device}, &nonce,
		&batched, &refused, &state, &reason, &dataHash, &task)
	if err != nil {
		return v, err
	}
	v.Nonce = nonceOf(nonce)
	v.DataHash, v.TaskID = optionalHash(dataHash), optionalHash(task)
	switch {
	case refused.Valid:
		v.State, v.Reason = stateRefused, refused.String
	case !batched:
		v.State = statePending
	case state.String == stateRefused:
		v.State, v.Reason = stateRefused, reason.String
	case state.String == stateMined || state.String == stateSettled:
		v.State = state.String
	default:
		v.State = stateBatched
	}
	return v, nil
}

func optionalHash(b []byte) *wire.Hash {
	if len(b) != 32 {
		return nil
	}
	h := wire.Hash(b)
	return &h
}

// TaskView is what the sequencer knows about a task of one of its batches.
type TaskView struct {
	ID             wire.Hash   `json:"id"`
	Project        uint64      `json:"project"`
	Version        uint32      `json:"version"`
	Count          uint32      `json:"count" doc:"Messages in the body."`
	Size           uint32      `json:"size" doc:"Bytes of the body."`
	DataHash       wire.Hash   `json:"data_hash"`
	DataCommitment wire.Hash   `json:"data_commitment"`
	Height         uint64      `json:"height" doc:"Height of the block that carries it."`
	Block          *wire.Hash  `json:"block,omitempty" doc:"Hash of that block."`
	State          string      `json:"state" enum:"offered,waiting,accepted,skipped,dead,recalled,settled"`
	Reason         string      `json:"reason,omitempty" doc:"Why it was skipped or died."`
	Messages       []wire.Hash `json:"messages" doc:"Ids of its messages, in order."`
}

const selectTask = `
	SELECT t.id, t.height, t.state, t.reason, b.id, b.project, b.version, b.count, b.size, b.data_hash, b.commitment,
	       (SELECT k.hash FROM blocks k WHERE k.height = t.height LIMIT 1)
	FROM tasks t JOIN batches b ON b.id = t.batch WHERE t.id = ?`

func loadTask(ctx context.Context, q querier, id wire.Hash) (TaskView, error) {
	var v TaskView
	var batch int64
	var block []byte
	err := q.QueryRowContext(ctx, selectTask, id[:]).Scan(hashArg{&v.ID}, &v.Height, &v.State, &v.Reason, &batch,
		&v.Project, &v.Version, &v.Count, &v.Size, hashArg{&v.DataHash}, hashArg{&v.DataCommitment}, &block)
	if err != nil {
		return v, err
	}
	v.Block = optionalHash(block)
	v.Messages, err = collect(ctx, q, scanHash, `SELECT id FROM messages WHERE batch = ? ORDER BY seq`, batch)
	return v, err
}

func scanHash(row func(...any) error) (h wire.Hash, err error) { return h, row(hashArg{&h}) }

// BlockView is a mined block, whoever mined it.
type BlockView struct {
	Hash        wire.Hash    `json:"hash"`
	Height      uint64       `json:"height"`
	EVMBlock    uint64       `json:"evm_block" doc:"Number of the EVM block that holds it."`
	Tx          wire.Hash    `json:"tx_hash"`
	Operator    wire.Address `json:"operator"`
	Beneficiary wire.Address `json:"beneficiary"`
	Tasks       uint32       `json:"tasks"`
	RewardWei   string       `json:"reward_wei"`
	Bits        string       `json:"bits" doc:"The header's nBits in hex."`
	Time        uint32       `json:"time" doc:"The header's time, seconds since 1970."`
	Header      string       `json:"header" doc:"The 80 header bytes in hex."`
	Coinbase    string       `json:"coinbase" doc:"The coinbase leaf in hex."`
}

const selectBlocks = `
	SELECT hash, height, evm_block, tx, operator, beneficiary, tasks, reward, header, coinbase FROM blocks
	WHERE height < ? ORDER BY height DESC LIMIT ?`

func loadBlocks(ctx context.Context, q querier, before int64, limit int) ([]BlockView, error) {
	return collect(ctx, q, scanBlock, selectBlocks, before, limit)
}

func scanBlock(row func(...any) error) (BlockView, error) {
	var v BlockView
	var operator, beneficiary, header, coinbase []byte
	err := row(hashArg{&v.Hash}, &v.Height, &v.EVMBlock, hashArg{&v.Tx}, &operator, &beneficiary, &v.Tasks, &v.RewardWei, &header, &coinbase)
	if err != nil {
		return v, err
	}
	copy(v.Operator[:], operator)
	copy(v.Beneficiary[:], beneficiary)
	h, err := wire.ParseHeader(header)
	v.Bits, v.Time, v.Header = fmt.Sprintf("0x%08x", h.Bits), h.Time, fmt.Sprintf("%x", header)
	v.Coinbase = fmt.Sprintf("%x", coinbase)
	return v, err
}

// bodySize gives sql.ErrNoRows for a body that is not there.
func bodySize(ctx context.Context, q querier, hash wire.Hash) (size int64, err error) {
	err = q.QueryRowContext(ctx, `SELECT length(body) FROM bodies WHERE data_hash = ?`, hash[:]).Scan(&size)
	return size, err
}

func loadBody(ctx context.Context, q querier, hash wire.Hash) ([]byte, error) {
	var body []byte
	err := q.QueryRowContext(ctx, `SELECT body FROM bodies WHERE data_hash = ?`, hash[:]).Scan(&body)
	return body, err
}

// decimal writes an amount; nil is 0.
func decimal(v *big.Int) string {
	if v == nil {
		return "0"
	}
	return v.String()
}
