package ceremony_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gristmill-zk/gristmill/internal/tinybundle"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/plugins/ceremony"
	"github.com/gristmill-zk/gristmill/wire"
)

// squares makes a circuit of 2^5 constraints.
const squares = 20

// final is a directory with a ceremony that Alice and Bob took part in, twice
// each. Tests copy it.
var final string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gm-ceremony-test-")
	if err == nil {
		final = filepath.Join(dir, "final")
		err = hold(context.Background(), dir)
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else if code = m.Run(); code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// beacon is one of each phase's.
func beacon(phase int) ceremony.Beacon {
	return ceremony.Beacon{Value: bytes.Repeat([]byte{byte(phase)}, 32), Source: "the digest of a block that was announced before"}
}

func writeCircuit(path string, squares int) error {
	system, err := tinybundle.Compile(squares)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if _, err := system.WriteTo(&text); err != nil {
		return err
	}
	return os.WriteFile(path, text.Bytes(), 0o644)
}

// hold holds a whole ceremony.
func hold(ctx context.Context, dir string) error {
	circuit := filepath.Join(dir, "circuit")
	if err := writeCircuit(circuit, squares); err != nil {
		return err
	}
	c, err := ceremony.Init(ctx, ceremony.InitConfig{Dir: final, Circuit: circuit})
	if err != nil {
		return err
	}
	for phase := 1; phase <= 2; phase++ {
		for _, name := range []string{"Alice", "Bob"} {
			if _, err := c.Contribute(ctx, name); err != nil {
				return err
			}
		}
		if err := c.Finalize(ctx, phase, beacon(phase)); err != nil {
			return err
		}
	}
	return nil
}

// clone copies the final ceremony.
func clone(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(final)))
	return dir
}

func opened(t *testing.T, dir string) *ceremony.Ceremony {
	t.Helper()
	c, err := ceremony.Open(dir)
	require.NoError(t, err)
	return c
}

// relog changes the log.
func relog(t *testing.T, dir string, change func(l *ceremony.Log)) {
	t.Helper()
	path := filepath.Join(dir, ceremony.LogName)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var l ceremony.Log
	require.NoError(t, json.Unmarshal(text, &l))
	change(&l)
	text, err = json.Marshal(&l)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, text, 0o644))
}

func TestAStrangerVerifies(t *testing.T) {
	t.Parallel()
	c := opened(t, final)
	var steps []string
	c.Progress = func(step string) { steps = append(steps, step) }
	require.NoError(t, c.Verify(t.Context()))
	require.Contains(t, strings.Join(steps, "\n"), "phase 2: verifying contribution 2 of 2 (Bob)")
	require.Equal(t, []string{"Alice", "Bob"}, c.Log.Contributors())
	require.Zero(t, c.Log.OpenPhase())
	text, err := os.ReadFile(filepath.Join(final, ceremony.LogName))
	require.NoError(t, err)
	require.Equal(t, wire.SHA256(text), c.Digest)
}

func TestKeysOfACeremonyMakeABundle(t *testing.T) {
	t.Parallel()
	c := opened(t, final)
	keys, err := c.KeySource()
	require.NoError(t, err)
	b, err := tinybundle.Build(t.Context(), t.TempDir(), squares, keys)
	require.NoError(t, err)
	require.NoError(t, b.KnownAnswer(t.Context()))
	require.Equal(t, bundle.KeysCeremony, b.Manifest.Keys)
	require.Equal(t, &bundle.CeremonyInfo{Transcript: c.Digest, Contributors: []string{"Alice", "Bob"}}, b.Manifest.Ceremony)
	require.NoError(t, c.CheckBundle(t.Context(), b))

	again, err := tinybundle.Build(t.Context(), t.TempDir(), squares, keys)
	require.NoError(t, err)
	require.Equal(t, b.Digest, again.Digest)

	_, err = tinybundle.Build(t.Context(), t.TempDir(), squares+1, keys)
	require.ErrorIs(t, err, bundle.ErrMismatch, "another circuit of the same size")

	dev, err := tinybundle.Build(t.Context(), t.TempDir(), squares, nil)
	require.NoError(t, err)
	require.ErrorContains(t, c.CheckBundle(t.Context(), dev), "insecure-dev-setup")

	// Who claims a ceremony must have its keys.
	for field, spoil := range map[string]func(m *bundle.Manifest){
		"transcript":    func(m *bundle.Manifest) { m.Ceremony.Transcript[0] ^= 1 },
		"contributors":  func(m *bundle.Manifest) { m.Ceremony.Contributors = []string{"Carol"} },
		"circuit":       func(m *bundle.Manifest) { setPart(m, bundle.PartCircuit) },
		"proving key":   func(m *bundle.Manifest) { setPart(m, bundle.PartProvingKey) },
		"verifying key": func(m *bundle.Manifest) { setPart(m, bundle.PartVerifyingKey) },
	} {
		liar := *b
		liar.Manifest.Ceremony = &bundle.CeremonyInfo{Transcript: c.Digest, Contributors: []string{"Alice", "Bob"}}
		liar.Manifest.Parts = append([]bundle.Part(nil), b.Manifest.Parts...)
		spoil(&liar.Manifest)
		require.ErrorContains(t, c.CheckBundle(t.Context(), &liar), field)
	}
}

func setPart(m *bundle.Manifest, name string) {
	for i := range m.Parts {
		if m.Parts[i].Name == name {
			m.Parts[i].SHA256[0] ^= 1
		}
	}
}

func flip(t *testing.T, dir, name string, at int) wire.Hash {
	t.Helper()
	path := filepath.Join(dir, name)
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	if at < 0 {
		at += len(raw)
	}
	raw[at] ^= 1
	require.NoError(t, os.WriteFile(path, raw, 0o644))
	return wire.SHA256(raw)
}

func swap(t *testing.T, a, b string) {
	t.Helper()
	require.NoError(t, os.Rename(a, a+".swap"))
	require.NoError(t, os.Rename(b, a))
	require.NoError(t, os.Rename(a+".swap", b))
}

// TestVerifyNamesTheStep spoils a ceremony in every way, also with a log that
// knows of it: what remains is what the proofs say.
func TestVerifyNamesTheStep(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
		want  string
	}{
		{"altered file of phase 1", func(t *testing.T, dir string) {
			flip(t, dir, "phase1/0001.contribution", -40)
		}, "phase 1, contribution 1 (Alice): phase1/0001.contribution was altered"},
		{"altered point of phase 1", func(t *testing.T, dir string) {
			hash := flip(t, dir, "phase1/0002.contribution", 3*96+8+64+31)
			relog(t, dir, func(l *ceremony.Log) { l.Phase1.Contributions[1].SHA256 = hash })
		}, "phase 1, contribution 2 (Bob)"},
		{"altered proof of phase 1", func(t *testing.T, dir string) {
			hash := flip(t, dir, "phase1/0001.contribution", 0)
			relog(t, dir, func(l *ceremony.Log) { l.Phase1.Contributions[0].SHA256 = hash })
		}, "phase 1, contribution 1 (Alice)"},
		{"altered file of phase 2", func(t *testing.T, dir string) {
			flip(t, dir, "phase2/0002.contribution", 100)
		}, "phase 2, contribution 2 (Bob): phase2/0002.contribution was altered"},
		{"altered challenge of phase 2", func(t *testing.T, dir string) {
			hash := flip(t, dir, "phase2/0002.contribution", -1)
			relog(t, dir, func(l *ceremony.Log) { l.Phase2.Contributions[1].SHA256 = hash })
		}, "phase 2, contribution 2 (Bob): the challenge does not match"},
		{"skipped in phase 1", func(t *testing.T, dir string) {
			require.NoError(t, os.Rename(filepath.Join(dir, "phase1/0002.contribution"), filepath.Join(dir, "phase1/0001.contribution")))
			relog(t, dir, func(l *ceremony.Log) {
				l.Phase1.Contributions = l.Phase1.Contributions[1:]
				l.Phase1.Contributions[0].Number = 1
			})
		}, "phase 1, contribution 1 (Bob): the challenge does not match"},
		{"left out at the end of phase 1", func(t *testing.T, dir string) {
			relog(t, dir, func(l *ceremony.Log) { l.Phase1.Contributions = l.Phase1.Contributions[:1] })
		}, "phase 2, start"},
		{"skipped in phase 2", func(t *testing.T, dir string) {
			require.NoError(t, os.Rename(filepath.Join(dir, "phase2/0002.contribution"), filepath.Join(dir, "phase2/0001.contribution")))
			relog(t, dir, func(l *ceremony.Log) {
				l.Phase2.Contributions = l.Phase2.Contributions[1:]
				l.Phase2.Contributions[0].Number = 1
			})
		}, "phase 2, contribution 1 (Bob): the challenge does not match"},
		{"wrong order", func(t *testing.T, dir string) {
			swap(t, filepath.Join(dir, "phase1/0001.contribution"), filepath.Join(dir, "phase1/0002.contribution"))
			relog(t, dir, func(l *ceremony.Log) {
				c := l.Phase1.Contributions
				c[0].SHA256, c[1].SHA256 = c[1].SHA256, c[0].SHA256
			})
		}, "phase 1, contribution 1 (Alice): the challenge does not match"},
		{"missing file", func(t *testing.T, dir string) {
			require.NoError(t, os.Remove(filepath.Join(dir, "phase1/0001.contribution")))
		}, "phase 1, contribution 1 (Alice): phase1/0001.contribution"},
		{"link", func(t *testing.T, dir string) {
			path := filepath.Join(dir, "phase1/0001.contribution")
			require.NoError(t, os.Rename(path, path+"x"))
			require.NoError(t, os.Symlink(path+"x", path))
		}, "phase1/0001.contribution is not a regular file"},
		{"swapped circuit", func(t *testing.T, dir string) {
			require.NoError(t, writeCircuit(filepath.Join(dir, "circuit.r1cs"), squares+1))
		}, "circuit.r1cs was altered"},
		{"swapped circuit that the log knows of", func(t *testing.T, dir string) {
			path := filepath.Join(dir, "circuit.r1cs")
			require.NoError(t, writeCircuit(path, squares+1))
			raw, err := os.ReadFile(path)
			require.NoError(t, err)
			relog(t, dir, func(l *ceremony.Log) {
				l.Circuit.SHA256 = wire.SHA256(raw)
				l.Circuit.Constraints++
				l.Circuit.Wires++
			})
		}, "phase 2, start: it does not follow from phase 1 and the circuit"},
		{"other beacon of phase 1", func(t *testing.T, dir string) {
			relog(t, dir, func(l *ceremony.Log) { l.Phase1.Beacon.Value[0] ^= 1 })
		}, "phase 2, start"},
		{"other beacon of phase 2", func(t *testing.T, dir string) {
			relog(t, dir, func(l *ceremony.Log) { l.Phase2.Beacon.Value[0] ^= 1 })
		}, "the contributions make the verifying key"},
		{"other proving key", func(t *testing.T, dir string) {
			flip(t, dir, "proving.key", -1)
		}, "proving.key was altered"},
		{"other proving key that the log knows of", func(t *testing.T, dir string) {
			hash := flip(t, dir, "proving.key", -1)
			relog(t, dir, func(l *ceremony.Log) { l.Keys.ProvingKey = hash })
		}, "the contributions make a proving.key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := clone(t)
			test.spoil(t, dir)
			require.ErrorContains(t, opened(t, dir).Verify(t.Context()), test.want)
		})
	}
}

func TestBadLogsAreRefused(t *testing.T) {
	t.Parallel()
	for want, spoil := range map[string]func(l *ceremony.Log){
		"format version 2":     func(l *ceremony.Log) { l.Format = 2 },
		"domain is 33":         func(l *ceremony.Log) { l.Domain = 33 },
		"domain is 1152921504": func(l *ceremony.Log) { l.Domain = 1 << 60 },
		"that of 27":           func(l *ceremony.Log) { l.Domain = 64 },
		"order is wrong":       func(l *ceremony.Log) { c := l.Phase1.Contributions; c[0], c[1] = c[1], c[0] },
		"one is missing":       func(l *ceremony.Log) { l.Phase2.Contributions = l.Phase2.Contributions[1:] },
		"printable":            func(l *ceremony.Log) { l.Phase1.Contributions[0].Name = "\x1b[2J" },
		"phase 2 must begin":   func(l *ceremony.Log) { l.Phase1.Beacon = nil },
		"keys must be there":   func(l *ceremony.Log) { l.Keys = nil },
		"beacon: its value":    func(l *ceremony.Log) { l.Phase2.Beacon.Value = []byte{1} },
		"beacon: its source":   func(l *ceremony.Log) { l.Phase2.Beacon.Source = "" },
		"no contribution":      func(l *ceremony.Log) { l.Phase1.Contributions = nil },
	} {
		dir := clone(t)
		relog(t, dir, spoil)
		_, err := ceremony.Open(dir)
		require.ErrorContains(t, err, want)
	}
	_, err := ceremony.Open(t.TempDir())
	require.ErrorContains(t, err, "there is none in")
}

// A step that was killed leaves the ceremony as it was, and is done again.
func TestKilledStepsAreDoneAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	circuit := filepath.Join(t.TempDir(), "circuit")
	require.NoError(t, writeCircuit(circuit, squares))
	c, err := ceremony.Init(t.Context(), ceremony.InitConfig{Dir: dir, Circuit: circuit})
	require.NoError(t, err)
	_, err = c.Contribute(t.Context(), "Alice")
	require.NoError(t, err)

	// Killed before it was whole, and killed before the log knew of it.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "phase1", ".tmp-1"), []byte("half"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "phase1", "0002.contribution"), []byte("unheard of"), 0o644))
	require.NoError(t, opened(t, dir).Verify(t.Context()))
	_, err = c.Contribute(t.Context(), "Bob")
	require.NoError(t, err)

	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, c.Finalize(stopped, 1, beacon(1)), context.Canceled)
	c = opened(t, dir)
	require.Equal(t, 1, c.Log.OpenPhase())
	require.Len(t, c.Log.Phase1.Contributions, 2)
	require.NoError(t, c.Finalize(t.Context(), 1, beacon(1)))
	require.NoError(t, c.Verify(t.Context()))
	require.Equal(t, 2, c.Log.OpenPhase())
}

func TestStepsOutOfTurn(t *testing.T) {
	t.Parallel()
	circuit := filepath.Join(t.TempDir(), "circuit")
	require.NoError(t, writeCircuit(circuit, squares))
	dir := t.TempDir()
	c, err := ceremony.Init(t.Context(), ceremony.InitConfig{Dir: dir, Circuit: circuit})
	require.NoError(t, err)
	_, err = ceremony.Init(t.Context(), ceremony.InitConfig{Dir: dir, Circuit: circuit})
	require.ErrorIs(t, err, ceremony.ErrExists)
	require.ErrorContains(t, c.Finalize(t.Context(), 1, beacon(1)), "no contribution")
	require.ErrorContains(t, c.Finalize(t.Context(), 2, beacon(1)), "phase 1 is the one")
	require.ErrorContains(t, c.Finalize(t.Context(), 1, ceremony.Beacon{Value: []byte{1}}), "beacon")
	_, err = c.Contribute(t.Context(), "")
	require.ErrorContains(t, err, "name")
	_, err = c.KeySource()
	require.ErrorIs(t, err, ceremony.ErrNotFinal)
	for name, cfg := range map[string]ceremony.InitConfig{
		"circuit: ":      {Circuit: filepath.Join(final, ceremony.LogName)},
		"no such file":   {Circuit: "missing"},
		"size":           {},
		"none is named":  {Phase1: final},
		"needs exactly ": {Circuit: circuit + "2", Phase1: final},
		"no beacon yet":  {Circuit: circuit, Phase1: dir},
	} {
		if strings.HasSuffix(cfg.Circuit, "2") {
			require.NoError(t, writeCircuit(cfg.Circuit, 2*squares))
		}
		cfg.Dir = t.TempDir()
		_, err := ceremony.Init(t.Context(), cfg)
		require.ErrorContains(t, err, name)
		_, err = ceremony.Open(cfg.Dir)
		require.Error(t, err, name)
	}

	done := opened(t, clone(t))
	_, err = done.Contribute(t.Context(), "Carol")
	require.ErrorIs(t, err, ceremony.ErrClosed)
	require.ErrorContains(t, done.Finalize(t.Context(), 2, beacon(2)), "no phase is open")
}

// One phase 1 serves all circuits of its size.
func TestPhase1IsUsedAgain(t *testing.T) {
	t.Parallel()
	first := t.TempDir()
	c, err := ceremony.Init(t.Context(), ceremony.InitConfig{Dir: first, Power: 5})
	require.NoError(t, err)
	_, err = c.Contribute(t.Context(), "Alice")
	require.NoError(t, err)
	require.NoError(t, c.Finalize(t.Context(), 1, beacon(1)))
	require.NoError(t, c.Verify(t.Context()))
	require.Zero(t, c.Log.OpenPhase())

	circuit := filepath.Join(t.TempDir(), "circuit")
	for _, squares := range []int{squares, squares + 1} {
		require.NoError(t, writeCircuit(circuit, squares))
		dir := t.TempDir()
		c, err := ceremony.Init(t.Context(), ceremony.InitConfig{Dir: dir, Circuit: circuit, Phase1: first})
		require.NoError(t, err)
		_, err = c.Contribute(t.Context(), "Bob")
		require.NoError(t, err)
		require.NoError(t, c.Finalize(t.Context(), 2, beacon(2)))
		require.NoError(t, opened(t, dir).Verify(t.Context()))
	}

	flip(t, first, "phase1/0001.contribution", 500)
	require.NoError(t, writeCircuit(circuit, squares))
	_, err = ceremony.Init(t.Context(), ceremony.InitConfig{Dir: t.TempDir(), Circuit: circuit, Phase1: first})
	require.ErrorContains(t, err, "phase 1, contribution 1 (Alice): phase1/0001.contribution was altered")
}

// What a stranger's file says of its own size is not believed.
func TestAbsurdSizesAreRefused(t *testing.T) {
	t.Parallel()
	put := func(t *testing.T, dir, name string, at int, value ...byte) wire.Hash {
		path := filepath.Join(dir, name)
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		copy(raw[at:], value)
		require.NoError(t, os.WriteFile(path, raw, 0o644))
		return wire.SHA256(raw)
	}
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"for a domain of": func(t *testing.T, dir string) {
			hash := put(t, dir, "phase1/0001.contribution", 3*96, 0x10)
			relog(t, dir, func(l *ceremony.Log) { l.Phase1.Contributions[0].SHA256 = hash })
		},
		"announces": func(t *testing.T, dir string) {
			hash := put(t, dir, "phase2/0001.contribution", 2+32, 0xff)
			relog(t, dir, func(l *ceremony.Log) { l.Phase2.Contributions[0].SHA256 = hash })
		},
		"where a challenge": func(t *testing.T, dir string) {
			hash := put(t, dir, "phase2/0001.contribution", 1, 3)
			relog(t, dir, func(l *ceremony.Log) { l.Phase2.Contributions[0].SHA256 = hash })
		},
		"after its header": func(t *testing.T, dir string) {
			hash := put(t, dir, "circuit.r1cs", 5, 0x10)
			relog(t, dir, func(l *ceremony.Log) { l.Circuit.SHA256 = hash })
		},
	} {
		dir := clone(t)
		spoil(t, dir)
		err := opened(t, dir).Verify(t.Context())
		require.Error(t, err, name)
		if name != "where a challenge" { // three commitments may as well end early
			require.ErrorContains(t, err, name)
		}
	}
}

func FuzzLog(f *testing.F) {
	f.Add([]byte(`{"format":1,"domain":32,"phase1":{"contributions":[]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, ceremony.LogName), text, 0o644))
		if c, err := ceremony.Open(dir); err == nil {
			require.NotZero(t, c.Log.Domain)
			_ = c.Log.Contributors()
			_ = c.Log.OpenPhase()
		}
	})
}
