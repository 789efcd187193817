//go:build icicle

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/consensys/gnark/backend/accelerated/icicle"
	peerbn254 "github.com/consensys/gnark/backend/accelerated/icicle/groth16/bn254"
	"github.com/consensys/gnark/backend/groth16"
	cs "github.com/consensys/gnark/constraint/bn254"

	"github.com/gristmill-zk/gristmill/gpu/check"
	ours "github.com/gristmill-zk/gristmill/gpu/icicle"
	_ "github.com/gristmill-zk/gristmill/internal/quietgnark" // gnark would log on standard output
)

// peerName is gnark's ICICLE backend with keys pinned to the device. Its proving
// holds the device while it solves; the time that solving takes by itself is
// taken off the warm figure.
const peerName = "gnark-icicle"

// patience is how long another process may take.
const patience = 5 * time.Minute

// measurePeer runs the peer in a process, as it panics over errors.
func measurePeer(ctx context.Context, o *options, c *check.Case, f *figure) error {
	dir, err := os.MkdirTemp("", "gpucheck")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := c.Save(dir); err != nil {
		return err
	}
	out, err := self(ctx, "peer", "--dir", dir, "--device", o.kind, "--index", strconv.Itoa(o.index), "--proofs", strconv.Itoa(o.proofs))
	if err != nil {
		return err
	}
	return json.Unmarshal(out, f)
}

// self runs this program again and returns what it printed; the error has the
// line that says most.
func self(ctx context.Context, args ...string) ([]byte, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("it did not end within %v", patience))
	defer cancel()
	cmd := exec.CommandContext(ctx, exe, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("%w: %s", err, why(stderr.String()))
	}
	// ICICLE prints on standard output too; the answer is the last line.
	lines := bytes.Split(bytes.TrimSpace(stdout.Bytes()), []byte("\n"))
	return lines[len(lines)-1], nil
}

func why(stderr string) string {
	for _, mark := range []string{"gpucheck: ", "panic: ", "what(): ", "rror"} {
		for line := range strings.Lines(stderr) {
			if strings.Contains(line, mark) {
				return strings.TrimSpace(line)
			}
		}
	}
	return "without a word"
}

func peerMain(_ context.Context, args []string) error {
	flags := flag.NewFlagSet("peer", flag.ContinueOnError)
	dir := flags.String("dir", "", "saved case")
	kind := flags.String("device", ours.CUDA, "kind of device")
	index := flags.Int("index", 0, "number of the device")
	proofs := flags.Int("proofs", 20, "warm proofs")
	if err := flags.Parse(args); err != nil {
		return err
	}
	backend := icicle.CUDA
	if *kind == ours.CPU {
		backend = icicle.CPU
	}
	opts := []icicle.Option{icicle.WithBackend(backend), icicle.WithDeviceID(*index), icicle.WithPinKeysToGPU(true)}
	if exe, err := os.Executable(); err == nil {
		opts = append(opts, icicle.WithBackendLibrary(filepath.Join(filepath.Dir(exe), "lib", "backend")))
	}
	cfg, err := icicle.NewConfig(opts...)
	if err != nil {
		return err
	}
	pk := new(peerbn254.ProvingKey)
	saved, err := check.Read(*dir, pk)
	if err != nil {
		return err
	}
	return measureGnark(saved, pk, cfg, *proofs)
}

func measureGnark(saved *check.Saved, pk *peerbn254.ProvingKey, cfg *icicle.Config, proofs int) error {
	r1cs, ok := saved.Circuit.(*cs.R1CS)
	if !ok {
		return errors.New("the saved circuit is no R1CS")
	}
	public, err := saved.Witness.Public()
	if err != nil {
		return err
	}
	var out struct {
		ColdMs    float64 `json:"cold_ms"`
		WarmMs    float64 `json:"warm_median_ms"`
		PerSecond float64 `json:"proofs_per_s"`
		Verified  int     `json:"verified"`
	}
	var warm, solving []time.Duration
	for i := range proofs + 1 {
		started := time.Now()
		proof, err := peerbn254.Prove(r1cs, pk, saved.Witness, cfg)
		took := time.Since(started)
		if err != nil {
			return err
		}
		if err := groth16.Verify(proof, saved.VK, public); err != nil {
			return fmt.Errorf("proof %d: %w", i, err)
		}
		out.Verified++
		if i == 0 {
			out.ColdMs = milliseconds(took)
			continue
		}
		warm = append(warm, took)
	}
	for range 3 {
		started := time.Now()
		if _, err := r1cs.Solve(saved.Witness); err != nil {
			return err
		}
		solving = append(solving, time.Since(started))
	}
	out.WarmMs = median(warm) - median(solving)
	// It makes one proof at a time. Neither solving nor verifying counts against it.
	if out.WarmMs > 0 {
		out.PerSecond = 1000 / out.WarmMs
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}
