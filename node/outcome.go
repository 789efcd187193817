package node

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/big"
	"text/tabwriter"

	"github.com/ethereum/go-ethereum/common"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/wire"
)

// outcome is what a run of the demo left on chain.
type outcome struct {
	blocks []chain.BlockMined
	tasks  []*outcomeTask
	byID   map[wire.Hash]*outcomeTask
	paid   map[wire.Address]*earned
	order  []wire.Address
	gas    map[common.Hash]uint64
}

type outcomeTask struct {
	mined    chain.TaskMined
	settled  *chain.TaskSettled
	envelope *wire.ProofEnvelope
}

// earned is what an account was credited in the run.
type earned struct{ blocks, tasks *big.Int }

// gather reads the run back from the chain.
func (d *demo) gather(ctx context.Context) (*outcome, error) {
	o := &outcome{byID: map[wire.Hash]*outcomeTask{}, paid: map[wire.Address]*earned{}, gas: map[common.Hash]uint64{}}
	err := eachEvent(ctx, d.local.deployment, d.local.deployment.Addresses(), nil, func(e chain.Event) error {
		if e.At().Block <= d.local.sinceBlock {
			return nil
		}
		return o.add(ctx, d.local.client, e)
	})
	if err != nil {
		return nil, err
	}
	for _, t := range o.tasks {
		if t.settled == nil {
			continue
		}
		if t.envelope, err = d.local.scheduler.Store().Proof(ctx, t.mined.TaskID); err != nil {
			return nil, err
		}
	}
	return o, nil
}

func (o *outcome) add(ctx context.Context, c *chain.Client, e chain.Event) error {
	switch e := e.(type) {
	case chain.BlockMined:
		o.blocks = append(o.blocks, e)
		return o.readGas(ctx, c, e.Tx)
	case chain.TaskMined:
		t := &outcomeTask{mined: e}
		o.tasks, o.byID[e.TaskID] = append(o.tasks, t), t
	case chain.TaskSettled:
		if t := o.byID[e.TaskID]; t != nil {
			t.settled = &e
			return o.readGas(ctx, c, e.Tx)
		}
	case chain.RewardCredited:
		a := o.account(e.Beneficiary)
		a.blocks.Add(a.blocks, e.Amount)
	case chain.Paid:
		a := o.account(e.Account)
		a.tasks.Add(a.tasks, e.Amount)
	}
	return nil
}

func (o *outcome) account(a wire.Address) *earned {
	if o.paid[a] == nil {
		o.paid[a] = &earned{blocks: new(big.Int), tasks: new(big.Int)}
		o.order = append(o.order, a)
	}
	return o.paid[a]
}

func (o *outcome) readGas(ctx context.Context, c *chain.Client, tx common.Hash) error {
	receipt, err := c.TransactionReceipt(ctx, tx)
	if err != nil {
		return fmt.Errorf("receipt %s: %w", tx, err)
	}
	o.gas[tx] = receipt.GasUsed
	return nil
}

// result is the outcome as the last line of the demo says it.
func (o *outcome) result(messages int) DemoResult {
	r := DemoResult{Messages: messages, Blocks: len(o.blocks), Tasks: len(o.tasks), Proofs: []DemoProof{}}
	blockRewards, proverRewards := new(big.Int), new(big.Int)
	for _, b := range o.blocks {
		blockRewards.Add(blockRewards, b.Reward)
	}
	for _, t := range o.tasks {
		if t.settled == nil {
			continue
		}
		r.Settled++
		proverRewards.Add(proverRewards, t.settled.ProverAmount)
		r.Proofs = append(r.Proofs, DemoProof{
			TaskID: t.mined.TaskID, TxHash: wire.Hash(t.settled.Tx), GasUsed: o.gas[t.settled.Tx],
			SolveMS: t.envelope.SolveMS, ProveMS: t.envelope.ProveMS, Engine: t.envelope.Engine,
		})
	}
	r.SequencerRewardWei, r.ProverReward = blockRewards.String(), FormatAmount(proverRewards)
	return r
}

// write prints the final table.
func (o *outcome) write(out io.Writer, names map[wire.Address]string) error {
	var text bytes.Buffer
	tw := tabwriter.NewWriter(&text, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "\nBLOCK\tHASH\tBITS\tHASHES EXPECTED\tTASKS\tTX\tGAS")
	for _, b := range o.blocks {
		o.writeBlock(tw, b)
	}
	fmt.Fprintln(tw, "\nTASK\tBLOCK\tMESSAGES\tSOLVE\tPROVE\tVERIFY\tTX\tGAS\tTOTAL, LEAST, MOST Wh, COUNT")
	for _, t := range o.tasks {
		o.writeTask(tw, t)
	}
	fmt.Fprintln(tw, "\nPAID\tACCOUNT\tBLOCK REWARDS (coins)\tTASK REWARDS (GRIST)")
	for _, account := range o.order {
		e := o.paid[account]
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", names[account], account, FormatAmount(e.blocks), FormatAmount(e.tasks))
	}
	fmt.Fprintln(tw)
	if err := tw.Flush(); err != nil {
		return err
	}
	if s, is := out.(*stage); is {
		return s.print(text.Bytes())
	}
	_, err := out.Write(text.Bytes())
	return err
}

func (o *outcome) writeBlock(w io.Writer, b chain.BlockMined) {
	bits, work := "?", "?"
	if h, err := wire.ParseHeader(b.Header); err == nil {
		bits = fmt.Sprintf("%08x", h.Bits)
		if target, err := h.Target(); err == nil {
			work = wire.Work(target).String()
		}
	}
	fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%s\t%d\n", b.Height, b.Hash.BlockString()[:24], bits, work, b.Tasks, short(wire.Hash(b.Tx)), o.gas[b.Tx])
}

func (o *outcome) writeTask(w io.Writer, t *outcomeTask) {
	if t.settled == nil {
		fmt.Fprintf(w, "%s\t%d\t%d\tnot settled in this run\n", short(t.mined.TaskID), t.mined.Height, t.mined.Task.Count)
		return
	}
	outputs := ""
	for i, out := range t.settled.Outputs {
		if i > 0 {
			outputs += ", "
		}
		outputs += out.Big().String()
	}
	e := t.envelope
	fmt.Fprintf(w, "%s\t%d\t%d\t%.0f ms\t%.0f ms\t%.1f ms\t%s\t%d\t%s\n", short(t.mined.TaskID), t.mined.Height, t.mined.Task.Count,
		e.SolveMS, e.ProveMS, e.VerifyMS, short(wire.Hash(t.settled.Tx)), o.gas[t.settled.Tx], outputs)
}
