package devnet

import (
	"context"
	"fmt"

	"github.com/ethereum/go-ethereum/core/types"
)

const importChunk = 256

// restore brings go-ethereum's database to the head of the log. Blocks the
// database kept are not executed again.
func (d *Devnet) restore(ctx context.Context, chain []record) error {
	bc := d.eth.BlockChain()
	kept := d.keptBlocks(chain)
	err := d.importFrom(ctx, chain, kept)
	if err != nil && ctx.Err() == nil && kept > 0 {
		d.cfg.Logger.WarnContext(ctx, "database cannot be continued: executing the chain again from genesis",
			"blocks", len(chain), "error", err)
		if err := bc.Reset(); err != nil {
			return fmt.Errorf("devnet: reset database: %w", err)
		}
		err = d.importFrom(ctx, chain, 0)
	}
	if err != nil {
		return err
	}
	if len(chain) == 0 && bc.CurrentBlock().Number.Sign() != 0 {
		if err := bc.Reset(); err != nil {
			return fmt.Errorf("devnet: reset database: %w", err)
		}
	}
	return nil
}

// keptBlocks counts the leading blocks of chain that the database has whole.
func (d *Devnet) keptBlocks(chain []record) int {
	bc := d.eth.BlockChain()
	n := min(len(chain), int(bc.CurrentBlock().Number.Uint64()))
	for n > 0 {
		r := chain[n-1]
		if bc.GetCanonicalHash(r.number) == r.hash && bc.HasBlockAndState(r.hash, r.number) {
			return n
		}
		n--
	}
	return 0
}

func (d *Devnet) importFrom(ctx context.Context, chain []record, kept int) error {
	bc := d.eth.BlockChain()
	if missing := len(chain) - kept; missing > 0 {
		d.cfg.Logger.InfoContext(ctx, "importing sealed blocks that the database lacks", "blocks", missing, "head", len(chain))
	}
	for at := kept; at < len(chain); at += importChunk {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("devnet: import blocks: %w", err)
		}
		blocks := make(types.Blocks, 0, importChunk)
		for _, r := range chain[at:min(at+importChunk, len(chain))] {
			b, err := d.log.read(r)
			if err != nil {
				return err
			}
			blocks = append(blocks, b)
		}
		if i, err := bc.InsertChain(blocks); err != nil {
			return fmt.Errorf("devnet: import block %d: %w", at+i+1, err)
		}
	}
	if len(chain) == 0 {
		return nil
	}
	// A database that went further than the log (its tail was cut off) or sits
	// on a dropped branch is turned to the log's head.
	head := chain[len(chain)-1]
	if bc.CurrentBlock().Hash() == head.hash {
		return nil
	}
	block, err := d.log.read(head)
	if err != nil {
		return err
	}
	if _, err := bc.SetCanonical(block); err != nil {
		return fmt.Errorf("devnet: set head to block %d: %w", head.number, err)
	}
	return nil
}
