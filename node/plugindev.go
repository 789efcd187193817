package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"github.com/gristmill-zk/gristmill/chain"
	"github.com/gristmill-zk/gristmill/chain/bindings"
	"github.com/gristmill-zk/gristmill/plugins/bundle"
	"github.com/gristmill-zk/gristmill/wire"
)

// DevOptions is `gristmill plugin dev`.
type DevOptions struct {
	PluginSource
	Fresh bool // make keys anew
	Send  int  // sample messages to send; negative: a full batch
	Terms Terms
	// Progress is told a line at each step. Nil: nobody listens.
	Progress func(line string)
}

// Dev is a plugin that is live on the local deployment.
type Dev struct {
	Name       string              `json:"name"`
	Bundle     BundleView          `json:"bundle"`
	Project    uint64              `json:"project"`
	NewProject bool                `json:"new_project"`
	Version    uint32              `json:"version"`
	NewVersion bool                `json:"new_version"`
	Devices    []string            `json:"devices"`
	Template   string              `json:"template,omitempty"` // as `gristmill send --set` fills it
	Sent       []Sent              `json:"sent"`
	Tasks      []TaskView          `json:"tasks"` // settled with the messages sent
	Sample     string              `json:"sample"`
	Outputs    []map[string]string `json:"outputs"` // of each task, by name
}

const (
	// devDeposit is what a project of a plugin under development gets into its
	// escrow when that has less than devLeast, in whole tokens.
	devDeposit = 10_000
	devLeast   = 1_000
	// devDevices is how many devices sign the messages of a large batch in turn.
	devDevices = 8
)

// devState is what a data directory knows of a plugin under development.
type devState struct {
	Registry common.Address `json:"registry"` // of the deployment that has the project
	Project  uint64         `json:"project"`
}

// DevPlugin builds a plugin's bundle, opens a project for it on the local
// deployment, or adds a version to the one it has, and sends messages until
// their proofs are settled.
func (s *Session) DevPlugin(ctx context.Context, opts DevOptions) (Dev, error) {
	if err := opts.validate(); err != nil {
		return Dev{}, err
	}
	if s.local.Project == 0 || s.SequencerURL() == "" {
		return Dev{}, fmt.Errorf("plugin dev needs the deployment that `gristmill up` runs, which has a token and a prover to work with: none runs on %s", s.opts.Dir)
	}
	if opts.Progress == nil {
		opts.Progress = func(string) {}
	}
	d := &dev{s: s, opts: opts}
	d.Devices, d.Sent, d.Tasks, d.Outputs = []string{}, []Sent{}, []TaskView{}, []map[string]string{}
	err := d.run(ctx)
	return d.Dev, err
}

// dev is one run.
type dev struct {
	Dev
	s      *Session
	opts   DevOptions
	bundle *bundle.Bundle
	owner  chain.Sender
}

func (d *dev) run(ctx context.Context) error {
	view, err := BuildBundle(ctx, BuildOptions{
		Source: d.opts.Source, Binary: d.opts.Binary, Out: d.s.opts.Dir.Path("bundles"), BatchSize: d.opts.BatchSize,
		Fresh: d.opts.Fresh, Logger: d.s.opts.Logger, Progress: d.opts.Progress,
	})
	if err != nil {
		return err
	}
	d.Bundle, d.Name = view, view.Manifest.Name
	if d.bundle, err = bundle.Open(ctx, view.Dir); err != nil {
		return err
	}
	payloads, err := samplePayloads(ctx, d.bundle)
	if err != nil {
		return err
	}
	d.Sample = fmt.Sprintf("%x", payloads[0])
	lock, err := d.s.opts.Dir.Lock("plugin-" + lockName(d.Name))
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }()
	if d.owner, err = d.s.Sender(ctx, keyOwner); err != nil {
		return err
	}
	// The chain takes a second for each step, so what can goes together.
	for _, steps := range [][]step{
		{{"verifying key", d.key}, {"project", d.openProject}},
		{{"project version", d.shape}, {"escrow", d.fund}, {"opt-in", d.optIn}, {"devices", d.listDevices}, {"payload template", d.template}},
	} {
		if err := together(ctx, steps); err != nil {
			return err
		}
	}
	return d.send(ctx, payloads)
}

func (d *dev) statePath() string {
	return d.s.opts.Dir.Path("plugins", lockName(d.Name)+".json")
}

func (d *dev) key(ctx context.Context) error {
	return registerKey(ctx, d.s.deployment, d.owner, d.bundle, intent("plugin dev"))
}

// openProject finds the plugin's project, or makes one.
func (d *dev) openProject(ctx context.Context) (err error) {
	var state devState
	if err := readJSON(d.statePath(), &state); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if state.Project != 0 && state.Registry == d.s.deployment.Registry() {
		d.Project = state.Project
		return nil
	}
	d.opts.Progress("opening a project for " + d.Name)
	if d.Project, err = createProject(ctx, d.s.deployment, d.owner, intent("plugin dev")); err != nil {
		return err
	}
	d.NewProject = true
	return writeJSON(d.statePath(), devState{Registry: d.s.deployment.Registry(), Project: d.Project})
}

// shape makes the bundle the project's newest version.
func (d *dev) shape(ctx context.Context) error {
	sequencer, err := d.s.AccountAddress(keySequencer)
	if err != nil {
		return err
	}
	spec := ProjectSpec{
		Token: d.s.local.Token, Reward: whole(localReward), SequencerShareBps: localShareBps,
		MaxWait: d.opts.Terms.MaxWait, AcceptWindow: d.opts.Terms.AcceptWindow, ProveWindow: d.opts.Terms.ProveWindow, RecallGrace: localGrace,
		Sequencers: []common.Address{sequencer},
	}
	if err := checkVersion(ctx, d.s.deployment, versionOf(d.bundle, spec), spec); err != nil {
		return err
	}
	before, err := d.s.deployment.Project(ctx, d.Project)
	if err != nil {
		return err
	}
	if err := shapeProject(ctx, d.s.deployment, d.owner, d.Project, d.bundle, spec, intent("plugin dev")); err != nil {
		return err
	}
	after, err := d.s.deployment.Project(ctx, d.Project)
	if err != nil {
		return err
	}
	d.Version, d.NewVersion = after.Version, after.Version != before.Version
	said := "as it is on chain already"
	if d.NewVersion {
		said = "pinned to bundle " + short(d.bundle.Digest) + "…"
	}
	d.opts.Progress(fmt.Sprintf("project %d, version %d: %s", d.Project, d.Version, said))
	return nil
}

// fund fills the escrow when it runs low.
func (d *dev) fund(ctx context.Context) error {
	free, err := d.s.deployment.FreeEscrow(ctx, d.Project, wire.Address(d.s.local.Token))
	if err != nil || free.Cmp(whole(devLeast)) >= 0 {
		return err
	}
	return deposit(ctx, d.s.deployment, d.owner, d.Project, d.s.local.Token, whole(devDeposit), intent("plugin dev"))
}

// optIn makes the local prover take the project's tasks.
func (d *dev) optIn(ctx context.Context) error {
	prover, err := d.s.AccountAddress(keyProver)
	if err != nil {
		return err
	}
	in, err := d.s.deployment.IsOptedIn(ctx, d.Project, wire.Address(prover))
	if err != nil || in {
		return err
	}
	from, err := d.s.Sender(ctx, keyProver)
	if err != nil {
		return err
	}
	_, err = call(ctx, from, intent("plugin dev"), d.s.deployment.Parts().Provers, bindings.NewProverRegistry().PackOptIn(d.Project))
	return err
}

// listDevices makes devices for a batch and lists them.
func (d *dev) listDevices(ctx context.Context) error {
	scheme, err := wire.ParseScheme(d.bundle.Manifest.Circuit.DeviceScheme)
	if err != nil {
		return err
	}
	var ids []wire.Hash
	for i := range min(int(d.bundle.Manifest.Circuit.BatchSize), devDevices) {
		device, _, err := d.s.devices.Ensure(fmt.Sprintf("%s-%d", strings.ToLower(lockName(d.Name)), i+1), scheme)
		if err != nil {
			return err
		}
		ids = append(ids, device.ID)
		d.Devices = append(d.Devices, device.Name)
	}
	return d.s.SetDevices(ctx, d.owner, d.Project, ids, true)
}

// template keeps the plugin's payload template for `gristmill send --set`.
func (d *dev) template(context.Context) error {
	from := d.opts.file(templateFile)
	if from == "" {
		return nil
	}
	text, err := os.ReadFile(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("payload template: %w", err)
	}
	d.Template = strings.TrimSpace(string(text))
	return writeFile(templatePath(d.s.opts.Dir, d.Project), []byte(d.Template+"\n"))
}

// send sends sample messages, each from the next device, and waits until all of
// them are settled.
func (d *dev) send(ctx context.Context, payloads [][]byte) error {
	count := d.opts.Send
	if count < 0 {
		count = len(payloads)
	}
	for i := range count {
		sent, err := d.s.Send(ctx, SendOptions{
			Project: d.Project, Device: d.Devices[i%len(d.Devices)], Payload: payloads[i%len(payloads)],
			Progress: d.opts.Progress,
		})
		if err != nil {
			return err
		}
		d.Sent = append(d.Sent, sent)
	}
	seen := map[wire.Hash]bool{}
	say := once(d.opts.Progress)
	for i := range d.Sent {
		if err := d.s.follow(ctx, &d.Sent[i], say); err != nil {
			return err
		}
		if id := d.Sent[i].Task; id != nil && !seen[*id] {
			seen[*id] = true
			if err := d.settled(ctx, *id); err != nil {
				return err
			}
		}
	}
	return nil
}

// once leaves out what was said before at another time: messages of one task go
// through the same.
func once(say func(string)) func(string) {
	said := map[string]bool{}
	return func(line string) {
		_, what, timed := strings.Cut(line, " s  ")
		if timed && said[what] {
			return
		}
		said[what] = true
		say(line)
	}
}

// settled reads a task and names its outputs.
func (d *dev) settled(ctx context.Context, id wire.Hash) error {
	t, err := d.s.TaskDetail(ctx, id.String())
	if err != nil {
		return err
	}
	named := map[string]string{}
	for i, name := range d.bundle.Manifest.Circuit.Outputs {
		if i < len(t.Outputs) {
			named[name] = t.Outputs[i].Big().String()
		}
	}
	d.Tasks, d.Outputs = append(d.Tasks, t), append(d.Outputs, named)
	return nil
}

// SendHint is how to send another message.
func (d *Dev) SendHint() string {
	hint := fmt.Sprintf("gristmill send --project %d", d.Project)
	if len(d.Devices) > 0 {
		hint += " --device " + d.Devices[0]
	}
	if d.Template == "" {
		return hint + " --hex " + d.Sample + " --wait"
	}
	for _, field := range strings.Split(d.Template, "{")[1:] {
		if name, _, closed := strings.Cut(field, "}"); closed && !strings.Contains(name, "=") {
			hint += " --set " + name + "=…"
		}
	}
	return hint + " --wait"
}
