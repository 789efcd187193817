package scaffold

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// SDK says where a project takes gristmill's module from: a source tree on this
// machine, or a published version. Exactly one is set.
type SDK struct {
	// Source is the root of a source tree; go.mod replaces the module with it.
	Source string `json:"source,omitempty"`
	// Version is a published version of the module.
	Version string `json:"version,omitempty"`
}

// goDirective is the language version of a new project, that of the SDK.
const goDirective = "1.26.0"

// release is a version that somebody tagged, as opposed to one that Go made up
// for a state in between, or for a tree with changes in it.
var release = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+(-[a-z]+(\.[0-9]+)?)?$`)

// ErrNoSDK says that nobody knows where the SDK is.
var ErrNoSDK = errors.New("no source of the SDK")

// FindSDK decides where the SDK comes from: the folder named, else the release
// that this program is, else a source tree at or above one of the places.
func FindSDK(named, version string, places ...string) (SDK, error) {
	if named != "" {
		abs, err := filepath.Abs(named)
		if err != nil {
			return SDK{}, fmt.Errorf("--sdk %s: %w", named, err)
		}
		sdk := SDK{Source: abs}
		if err := sdk.validate(); err != nil {
			return SDK{}, fmt.Errorf("--sdk %s: %w", named, err)
		}
		return sdk, nil
	}
	if release.MatchString(version) {
		return SDK{Version: version}, nil
	}
	for _, place := range places {
		if place == "" {
			continue
		}
		abs, err := filepath.Abs(place)
		if err != nil {
			continue
		}
		for dir := abs; ; dir = filepath.Dir(dir) {
			if isSource(dir) {
				return SDK{Source: dir}, nil
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return SDK{}, fmt.Errorf("%w: this gristmill is %s, a build that is not published as a Go module, and its source is neither here nor above the program: name the folder of the source with --sdk", ErrNoSDK, version)
}

func isSource(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return false
	}
	first, _, _ := bytes.Cut(text, []byte("\n"))
	return string(bytes.TrimSpace(first)) == "module "+modulePath
}

func (s SDK) validate() error {
	switch {
	case (s.Source == "") == (s.Version == ""):
		return errors.New("sdk: exactly one of Source and Version must be set")
	case s.Source != "" && !isSource(s.Source):
		return fmt.Errorf("%s has no go.mod of %s", s.Source, modulePath)
	}
	return nil
}

// String says it to a person.
func (s SDK) String() string {
	if s.Source != "" {
		return "the source tree " + s.Source + " (go.mod replaces the module with it; it works on this machine only)"
	}
	return modulePath + " " + s.Version
}

// writeModule writes go.mod and, with a source tree, the sums that it has.
func (p *Project) writeModule() error {
	text := fmt.Sprintf("module %s\n\ngo %s\n\n", p.Module, goDirective)
	if p.SDK.Source == "" {
		return p.write("go.mod", []byte(text+fmt.Sprintf("require %s %s\n", modulePath, p.SDK.Version)))
	}
	text += fmt.Sprintf("require %s v0.0.0\n\nreplace %[1]s => %s\n", modulePath, quoted(p.SDK.Source))
	if err := p.write("go.mod", []byte(text)); err != nil {
		return err
	}
	sums, err := os.ReadFile(filepath.Join(p.SDK.Source, "go.sum"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("new project: %w", err)
	}
	return p.write("go.sum", sums)
}

// quoted writes a path as go.mod wants it.
func quoted(path string) string {
	if strings.ContainsAny(path, " \t'`\"(),") {
		return fmt.Sprintf("%q", path)
	}
	return path
}

// resolve has the go command name every module that the project needs.
func (p *Project) resolve(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "go", "list", "-mod=mod", "-deps", "-test", "./...")
	cmd.Dir = p.Dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("the project is written to %s, but the go command does not find its modules (mend that and run `go mod tidy` there): %w: %s",
			p.Dir, err, lastLines(said.String()))
	}
	return nil
}

// lastLines shortens what a tool printed to what fits into an error.
func lastLines(text string) string {
	const most = 2000
	text = strings.TrimSpace(text)
	if len(text) > most {
		text = "…" + text[len(text)-most:]
	}
	return text
}
