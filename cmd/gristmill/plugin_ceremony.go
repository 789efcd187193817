package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/ceremony"
)

func (a *app) pluginCeremonyCommand() *cobra.Command {
	return groupCommand("ceremony", "Make a circuit's keys by several parties",
		`Keys made by one machine let that machine forge proofs. In a ceremony each party
mixes in a secret and forgets it; one that did so is enough. A ceremony is a
folder that goes from hand to hand, and that anybody can verify by itself:

  gristmill plugin ceremony init ./ceremony --circuit BUNDLE
  gristmill plugin ceremony contribute ./ceremony --name Alice
  gristmill plugin ceremony contribute ./ceremony --name Bob
  gristmill plugin ceremony finalize ./ceremony --phase 1 --beacon 5f3c... --source "block 9000000"
  gristmill plugin ceremony contribute ./ceremony --name Alice
  gristmill plugin ceremony contribute ./ceremony --name Bob
  gristmill plugin ceremony finalize ./ceremony --phase 2 --beacon 81aa... --source "block 9050000"
  gristmill plugin build ./plugins/circuits/meter --keys ./ceremony
  gristmill plugin verify BUNDLE --transcript ./ceremony

A step that is killed leaves the ceremony as it was; run it again.`,
		a.ceremonyInitCommand(), a.ceremonyContributeCommand(), a.ceremonyFinalizeCommand(), a.ceremonyVerifyCommand())
}

func (a *app) tellStep(line string) { fmt.Fprintln(a.stderr, line) }

func (a *app) ceremonyInitCommand() *cobra.Command {
	cfg := ceremony.InitConfig{}
	cmd := &cobra.Command{
		Use:   "init FOLDER",
		Short: "Begin a ceremony for a circuit, or a phase 1 for any of its size",
		Long: `The circuit comes from a bundle, such as one of a local setup, or from the file
that a plugin's export writes (circuit.r1cs). Phase 1 does not depend on it: with
--phase1 that of another ceremony is taken, if it is final and of the same size;
it is verified on the way. Without --circuit a phase 1 is made by itself, of room
for 2^SIZE constraints.`,
		Example: "  gristmill plugin ceremony init ./ceremony --circuit ./bundles/9f...\n  gristmill plugin ceremony init ./phase1-16 --size 16\n  gristmill plugin ceremony init ./ceremony --circuit ./bundles/9f... --phase1 ./phase1-16",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg.Dir, cfg.Progress = args[0], a.tellStep
			circuit, err := circuitFile(cfg.Circuit)
			if err != nil {
				return err
			}
			cfg.Circuit = circuit
			c, err := ceremony.Init(cmd.Context(), cfg)
			if err != nil {
				return interrupted(cmd.Context(), err)
			}
			return a.showCeremony(c)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&cfg.Circuit, "circuit", "", "bundle, or file of the constraint system, that the keys are for")
	flags.IntVar(&cfg.Power, "size", 0, "without a circuit: the size of phase 1, as a power of two")
	flags.StringVar(&cfg.Phase1, "phase1", "", "ceremony whose final phase 1 is taken")
	return cmd
}

// circuitFile finds the constraint system in a bundle; any other path is that of
// a file by itself.
func circuitFile(path string) (string, error) {
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return path, nil
	}
	text, err := os.ReadFile(filepath.Join(path, bundle.ManifestName))
	if err != nil {
		return "", fmt.Errorf("--circuit: %s is no bundle: %w", path, err)
	}
	m, err := bundle.ParseManifest(text)
	if err != nil {
		return "", err
	}
	b := bundle.Bundle{Dir: path, Manifest: *m}
	return b.Path(bundle.PartCircuit)
}

func (a *app) ceremonyContributeCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "contribute FOLDER",
		Short: "Mix a secret of this machine into the open phase and forget it",
		Long: `Takes the newest state, mixes in fresh secrets, checks the result and adds it to
the log. Verify the folder first, run this on a machine that you trust, and publish
the SHA-256 that it prints: by it everybody can see that your part is in.`,
		Example: "  gristmill plugin ceremony contribute ./ceremony --name Alice",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := ceremony.Open(args[0])
			if err != nil {
				return err
			}
			c.Progress = a.tellStep
			phase := c.Log.OpenPhase()
			step, err := c.Contribute(cmd.Context(), name)
			if err != nil {
				return interrupted(cmd.Context(), err)
			}
			return a.show(step, func(w io.Writer) error {
				return facts(w, "phase", fmt.Sprint(phase), "contribution", fmt.Sprint(step.Number), "by", step.Name, "sha-256", step.SHA256.String())
			})
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "your name in the log, as others know you")
	must(cmd.MarkFlagRequired("name"))
	return cmd
}

func (a *app) ceremonyFinalizeCommand() *cobra.Command {
	var beacon, source string
	var phase int
	cmd := &cobra.Command{
		Use:   "finalize FOLDER",
		Short: "End a phase with a public random value",
		Long: `Verifies everything so far and applies a beacon: a value that nobody could know
when the last contribution was made and that everybody can look up, such as the
hash of a block whose height was announced before. Ending phase 1 begins phase 2;
ending phase 2 writes proving.key and verifying.key.`,
		Example: `  gristmill plugin ceremony finalize ./ceremony --phase 1 --beacon 0x5f3c... --source "Ethereum block 9000000"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := ceremony.Open(args[0])
			if err != nil {
				return err
			}
			value, err := hex.DecodeString(strings.TrimPrefix(beacon, "0x"))
			if err != nil {
				return fmt.Errorf("--beacon: not hexadecimal: %w", err)
			}
			c.Progress = a.tellStep
			if err := c.Finalize(cmd.Context(), phase, ceremony.Beacon{Value: value, Source: source}); err != nil {
				return interrupted(cmd.Context(), err)
			}
			return a.showCeremony(c)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&phase, "phase", 0, "phase to end, 1 or 2")
	flags.StringVar(&beacon, "beacon", "", "the value, in hexadecimal, of at least 16 bytes")
	flags.StringVar(&source, "source", "", "where everybody can look it up")
	for _, name := range []string{"phase", "beacon", "source"} {
		must(cmd.MarkFlagRequired(name))
	}
	return cmd
}

func (a *app) ceremonyVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify FOLDER",
		Short: "Verify every step of a ceremony from its folder alone",
		Long: `Repeats all that needs no secret, checks each contribution against the state before
it, and compares the keys. The first step that does not hold is named.`,
		Example: "  gristmill plugin ceremony verify ./ceremony",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := ceremony.Open(args[0])
			if err != nil {
				return err
			}
			c.Progress = a.tellStep
			if err := c.Verify(cmd.Context()); err != nil {
				return interrupted(cmd.Context(), err)
			}
			return a.showCeremony(c)
		},
	}
}

// ceremonyView is a ceremony as JSON.
type ceremonyView struct {
	Dir        string       `json:"dir"`
	Transcript string       `json:"transcript"`
	Log        ceremony.Log `json:"log"`
}

func (a *app) showCeremony(c *ceremony.Ceremony) error {
	view := ceremonyView{Dir: c.Dir, Transcript: c.Digest.String(), Log: c.Log}
	return a.show(view, func(w io.Writer) error {
		if err := facts(w, "ceremony", c.Dir, "transcript", c.Digest.String(), "state", ceremonyState(&c.Log)); err != nil {
			return err
		}
		steps := [][]string{}
		add := func(phase string, p *ceremony.Phase) {
			for _, s := range p.Contributions {
				steps = append(steps, []string{phase, fmt.Sprint(s.Number), s.Name, s.Time.Format("2006-01-02 15:04"), s.SHA256.String()})
			}
			if b := p.Beacon; b != nil {
				steps = append(steps, []string{phase, "beacon", b.Source, b.Time.Format("2006-01-02 15:04"), hex.EncodeToString(b.Value)})
			}
		}
		add("1", &c.Log.Phase1)
		if c.Log.Phase2 != nil {
			add("2", &c.Log.Phase2.Phase)
		}
		if len(steps) == 0 {
			return nil
		}
		return table(w, []string{"PHASE", "STEP", "BY", "WHEN", "SHA-256 OR VALUE"}, steps)
	})
}

func ceremonyState(l *ceremony.Log) string {
	of := fmt.Sprintf("for any circuit of up to %d constraints", l.Domain)
	if l.Circuit != nil {
		of = fmt.Sprintf("for circuit %s of %d constraints", l.Circuit.SHA256, l.Circuit.Constraints)
	}
	switch {
	case l.OpenPhase() != 0:
		return fmt.Sprintf("phase %d takes contributions, %s", l.OpenPhase(), of)
	case l.Keys != nil:
		return fmt.Sprintf("final, %s: verifying key %s", of, l.Keys.VKID)
	default:
		return "phase 1 is final, " + of
	}
}
