package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/gristmill-zk/gristmill/gpu/health"
	"github.com/gristmill-zk/gristmill/node"
)

func (a *app) doctorCommand() *cobra.Command {
	var opts node.DoctorOptions
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check this machine and its devices, and prove a known answer on each engine",
		Long: `Looks at what a worker on this machine needs: the data directory, memory files,
the layers of the sandbox that plugins run in (each is tried, not guessed), cards
and their health, the ICICLE engine's program, the queue, the sources of bundles and
which bundles a worker could not fetch; and has each engine that --engine names prove
a known answer. Says what is missing and what
to do. The exit code is 1 when something failed; what was not asked for and is
not there is only noted.`,
		Example: "  gristmill doctor\n  gristmill doctor --engine icicle:0,cpu --redis 127.0.0.1:6379",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := a.openDir()
			if err != nil {
				return err
			}
			opts.Dir = dir
			if !a.json {
				opts.Each = func(c node.Check) { a.showCheck(c) }
			}
			checks, err := node.Doctor(cmd.Context(), opts)
			if err != nil {
				return interrupted(cmd.Context(), err)
			}
			healthy := node.Healthy(checks)
			if a.json {
				if err := printJSON(a.stdout, struct {
					Healthy bool         `json:"healthy"`
					Checks  []node.Check `json:"checks"`
				}{healthy, checks}); err != nil {
					return err
				}
			}
			if !healthy {
				return errors.New("something is wrong with this machine: see above")
			}
			return nil
		},
	}
	cmd.Flags().StringSliceVar(&opts.Engines.Names, "engine", []string{"cpu"}, engineHelp)
	cmd.Flags().Int64Var(&opts.Engines.Memory, "engine-memory", 0, engineMemoryHelp)
	cmd.Flags().StringVar(&opts.Redis, "redis", "", redisHelp+" (default: not looked at)")
	sandboxFlag(cmd.Flags(), &opts.Sandbox)
	bundleFlags(cmd.Flags(), &opts.Bundles)
	cmd.Flags().StringVar(&opts.Trust, "trust", "", trustHelp)
	return cmd
}

func (a *app) showCheck(c node.Check) {
	fmt.Fprintf(a.stdout, "%-4s  %-26s %s\n", c.Verdict, c.What, c.Detail)
	if c.Advice != "" {
		fmt.Fprintf(a.stdout, "%-4s  %-26s → %s\n", "", "", c.Advice)
	}
}

func (a *app) gpuCommand() *cobra.Command {
	return groupCommand("gpu", "Look at this machine's cards", "", &cobra.Command{
		Use:   "ls",
		Short: "List NVIDIA cards with their health",
		Long: `Lists what NVIDIA's driver says of each card, and whether a worker would give it
work. Figures that the driver does not give are unknown.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cards, err := node.Cards(cmd.Context())
			if err != nil {
				return interrupted(cmd.Context(), err)
			}
			return a.show(cards, func(w io.Writer) error { return showCards(w, cards) })
		},
	})
}

func showCards(w io.Writer, cards []node.Card) error {
	rows := make([][]string, len(cards))
	for i, c := range cards {
		fit := "fit"
		if !c.Fit {
			fit = "unfit: " + health.Sentence(c.Reasons)
		}
		if c.Fake {
			fit += " (FAKE)"
		}
		rows[i] = []string{
			fmt.Sprintf("icicle:%d", c.Index), c.Name, c.UUID, gibibytes(c.MemoryUsed) + " of " + gibibytes(health.Known(float64(c.MemoryTotal))),
			c.Temperature.String() + " °C", c.Power.String() + " W", c.Utilization.String() + " %", fit,
		}
	}
	return table(w, []string{"ENGINE", "NAME", "UUID", "MEMORY GiB", "TEMPERATURE", "POWER", "USE", "STATE"}, rows)
}

func gibibytes(v health.Value) string {
	v.V /= 1 << 30
	return v.String()
}
