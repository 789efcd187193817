package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gristmill-zk/gristmill/bench"
	"github.com/gristmill-zk/gristmill/bench/farm"
	"github.com/gristmill-zk/gristmill/bench/mining"
	"github.com/gristmill-zk/gristmill/bench/results"
	"github.com/gristmill-zk/gristmill/node"
)

func (a *app) benchCommand() *cobra.Command {
	return groupCommand("bench", "Measure proving, mining and the whole way, and compare",
		`Measurements that can be repeated: several runs in turns, medians and spread, the
machine, the versions and the command beside the numbers, and only proofs that
gnark's verifier took. Leave the machine alone meanwhile.`,
		a.benchProveCommand(), a.benchCompareCommand(), a.benchMineCommand(), a.benchFarmCommand())
}

func (a *app) benchProveCommand() *cobra.Command {
	var cfg bench.Config
	var modes []string
	var out string
	cmd := &cobra.Command{
		Use:   "prove",
		Short: "Prove circuits at several sizes with several engines, in turns",
		Long: `Proves circuits × sizes × engines × modes and writes results.json, results.csv,
results.md and a page with plots, index.html, into --out.

Circuits: meter and geofence (shipped, full of signed messages), dense (large wires),
bits (wires of 0 and 1). Sizes are powers of two; the circuit fills as much of the
domain as it can. Engines: cpu; icicle on the first CUDA card and icicle-cpu on
ICICLE's processor device, both through gristmill-engine-icicle; and gnark for
gnark's own prover, which the others are compared with. Modes: cold (a new engine
and the key from disk for each proof), warm (key resident), queued (tasks arrive
at random at --load times the warm rate; latency counts from the intended
arrival).

Ctrl-C ends it after the proof at hand; nothing is written then. A proof that
does not verify is not counted, and makes the command fail after it has written
the results.`,
		Example: `  gristmill bench prove --circuits meter --sizes 14,16 --engines cpu,gnark --modes warm --runs 5 --out bench-out
  gristmill bench prove --circuits meter,dense,bits --sizes 15 --modes cold,warm,queued --price-per-hour 0.38 --watts 120`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg.Modes = nil
			for _, mode := range modes {
				cfg.Modes = append(cfg.Modes, bench.Mode(mode))
			}
			cfg.Command = commandLine()
			cfg.Progress = a.progress()
			record, err := bench.Run(cmd.Context(), cfg)
			if record == nil {
				return interrupted(cmd.Context(), err)
			}
			if failed := errors.Join(record.Write(out), a.showRecord(record, out)); failed != nil {
				return failed
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&cfg.Circuits, "circuits", []string{"meter"}, "what to prove: meter, geofence, dense, bits")
	flags.IntSliceVar(&cfg.Sizes, "sizes", []int{14, 16}, "domain sizes as powers of two")
	flags.StringSliceVar(&cfg.Engines, "engines", []string{"cpu", "gnark"}, "who proves")
	flags.StringSliceVar(&modes, "modes", []string{"warm"}, "cold, warm, queued")
	flags.IntVar(&cfg.Runs, "runs", 5, "turns that each engine has in each mode")
	flags.IntVar(&cfg.Proofs, "proofs", 1, "proofs in a turn (cold, warm)")
	flags.IntVar(&cfg.InFlight, "in-flight", 1, "proofs made at once, by every engine alike (warm, queued)")
	flags.Float64Var(&cfg.Load, "load", 0.7, "rate of arrivals over the warm rate (queued)")
	flags.IntVar(&cfg.Arrivals, "arrivals", 10, "tasks that arrive in a turn (queued)")
	flags.Uint64Var(&cfg.Seed, "seed", 1, "what the times of arrival are drawn from (queued)")
	flags.StringVar(&cfg.Keys, "keys", "", "folder that keeps the proving keys for the next benchmark (default: none)")
	flags.Float64Var(&cfg.Watts, "watts", 0, "power that the machine draws while it proves (default: the counters of processor and cards)")
	flags.Float64Var(&cfg.PricePerHour, "price-per-hour", 0, "what the machine costs in an hour")
	flags.Float64Var(&cfg.PricePerKWh, "price-per-kwh", 0, "what a kilowatt-hour costs")
	flags.StringVar(&out, "out", "bench-out", "folder for the results")
	return cmd
}

// progress prints the steps of a benchmark on standard error, with the time
// since it began.
func (a *app) progress() func(string) {
	start := time.Now()
	return func(line string) { fmt.Fprintf(a.stderr, "%7.1f s  %s\n", time.Since(start).Seconds(), line) }
}

// commandLine is what was run, for a person to run it again.
func commandLine() string {
	args := []string{"gristmill"}
	for _, arg := range os.Args[1:] {
		if strings.ContainsAny(arg, " \t'\"$&|;<>()*?") || arg == "" {
			arg = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
		args = append(args, arg)
	}
	return strings.Join(args, " ")
}

func (a *app) showRecord(record *results.Record, out string) error {
	return a.show(record, func(w io.Writer) error {
		heads, rows := record.Rows()
		for i := range heads {
			heads[i] = strings.ToUpper(heads[i])
		}
		if err := table(w, heads, rows); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w, "\nwritten to %s: results.json, results.csv, results.md, index.html\n", out)
		return err
	})
}

func (a *app) benchCompareCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "compare OLD NEW",
		Short: "Hold two results against each other: medians, change, and whether it is one",
		Long: `Compares the cells that two results.json (or their folders) share: medians, how
far samples lie from them, the change of the median, and p, the probability of a
difference like this by chance (Mann-Whitney U). A change with p of 0.05 or more
is shown as ~.`,
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			before, err := results.Read(args[0])
			if err != nil {
				return err
			}
			after, err := results.Read(args[1])
			if err != nil {
				return err
			}
			if a.json {
				shared, missing := results.Compare(before, after)
				return printJSON(a.stdout, struct {
					Cells   []results.Comparison `json:"cells"`
					Missing []string             `json:"missing"`
				}{shared, missing})
			}
			return results.WriteComparison(a.stdout, before, after)
		},
	}
}

func (a *app) benchMineCommand() *cobra.Command {
	var cfg mining.Config
	cmd := &cobra.Command{
		Use:     "mine",
		Short:   "Measure how many block headers a second this machine tries",
		Example: "  gristmill bench mine\n  gristmill bench mine --threads 1,2,4 --time 10s --runs 5 --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg.Progress = a.progress()
			report, err := mining.Run(cmd.Context(), cfg)
			if err != nil {
				return interrupted(cmd.Context(), err)
			}
			return a.show(report, func(w io.Writer) error { return showMining(w, report) })
		},
	}
	cmd.Flags().IntSliceVar(&cfg.Workers, "threads", nil, "numbers of threads to measure (default: 1 and one per core)")
	cmd.Flags().DurationVar(&cfg.Time, "time", 3*time.Second, "length of each run")
	cmd.Flags().IntVar(&cfg.Runs, "runs", 3, "turns that each number of threads has")
	return cmd
}

func (a *app) benchFarmCommand() *cobra.Command {
	cfg := farm.Config{Up: node.UpOptions{LocalOptions: node.DemoLocal()}}
	var out string
	cmd := &cobra.Command{
		Use:   "farm",
		Short: "Send tasks through the whole product and see where their time goes",
		Long: `Runs everything embedded in a fresh folder, as demo does, sends full batches of
signed readings all at once, waits until every proof is settled on chain, and
prints tasks per second and the time of each stage. It writes farm.json into
--out. The folder is removed afterwards.`,
		Example: "  gristmill bench farm --tasks 20 --out bench-farm\n  gristmill bench farm --tasks 100 --slots 4 --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			path, err := os.MkdirTemp("", "gristmill-farm-")
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, os.RemoveAll(path)) }()
			dir, err := node.OpenDataDir(path)
			if err != nil {
				return err
			}
			cfg.Command, cfg.Progress = commandLine(), a.progress()
			cfg.Up.RoleOptions = node.RoleOptions{Dir: dir, Logger: a.log, Out: a.stderr}
			report, err := farm.Run(cmd.Context(), cfg)
			if err != nil {
				return interrupted(cmd.Context(), err)
			}
			if err := report.Write(out); err != nil {
				return err
			}
			return a.show(report, func(w io.Writer) error { return showFarm(w, report) })
		},
	}
	cmd.Flags().IntVar(&cfg.Tasks, "tasks", 10, "full batches to send")
	cmd.Flags().StringVar(&out, "out", "bench-farm", "folder for the result")
	localFlags(cmd.Flags(), &cfg.Up.LocalOptions)
	return cmd
}

func showFarm(w io.Writer, r *farm.Report) error {
	slots := "slots by default"
	if r.Slots > 0 {
		slots = fmt.Sprintf("%d slot(s)", r.Slots)
	}
	fmt.Fprintf(w, "%d tasks, %d messages in %.1f s: %.3f tasks/s, %.2f messages/s, %s, %s, %d cores\n\n",
		r.Tasks, r.Messages, r.Seconds, r.TasksPerSecond, r.MessagesPerSecond, slots, r.Machine.CPU, r.Machine.Cores)
	rows := make([][]string, len(r.Stages))
	for i, s := range r.Stages {
		rows[i] = []string{s.Name, results.Short(s.P50), results.Short(s.P99), results.Short(s.Max), s.What}
	}
	return table(w, []string{"STAGE", "P50 ms", "P99 ms", "MAX ms", "FROM → TO"}, rows)
}

func showMining(w io.Writer, report *mining.Report) error {
	rows := make([][]string, len(report.Results))
	for i, r := range report.Results {
		rows[i] = []string{
			fmt.Sprint(r.Workers), fmt.Sprintf("%.2f MH/s", r.Rate/1e6), fmt.Sprintf("%.2f MH/s", r.PerCore/1e6),
			fmt.Sprintf("%.2f–%.2f", r.Least/1e6, r.Most/1e6),
		}
	}
	if _, err := fmt.Fprintf(w, "%s, %d cores, %s\n", report.Machine.CPU, report.Machine.Cores, report.Machine.Go); err != nil {
		return err
	}
	return table(w, []string{"THREADS", "TOTAL", "PER THREAD", "MIN–MAX"}, rows)
}
