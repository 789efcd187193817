// Package scaffold writes a new circuit plugin: a Go module that builds, passes
// its tests and can be put on a chain as it is.
//
// The files are those of the folder template, which is itself a plugin of this
// module: it is compiled, vetted and tested with everything else, so that what
// a team starts from works. A new project is a copy of it under another name.
package scaffold

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/module"
)

//go:embed all:template
var files embed.FS

const (
	// modulePath is the module that a plugin imports the SDK from.
	modulePath = "github.com/gristmill-zk/gristmill"

	templateDir    = "template"
	templateImport = modulePath + "/plugins/scaffold/template"
	templateName   = "coldchain"
)

// Config is a project to be written.
type Config struct {
	Name   string // of circuit and binary: a to z, 0 to 9 and dashes
	Dir    string // where it is written; empty: a folder of that name here
	Module string // path of the Go module; empty: example.com/NAME
	SDK    SDK    // where the SDK comes from
}

// Project is what was written.
type Project struct {
	Dir    string   `json:"dir"` // absolute
	Module string   `json:"module"`
	Files  []string `json:"files"` // relative to Dir
	SDK    SDK      `json:"sdk"`
}

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

const maxName = 40

// reserved are names that mean something else to the go command.
var reserved = []string{"internal", "vendor", "testdata", "main", "circuit", "all", "std", "cmd"}

func (c *Config) validate() error {
	if !namePattern.MatchString(c.Name) || len(c.Name) > maxName {
		return fmt.Errorf("name %q: want a to z, 0 to 9 and single dashes, beginning with a letter, at most %d characters", c.Name, maxName)
	}
	if slices.Contains(reserved, c.Name) {
		return fmt.Errorf("name %q means something else to the go command: take another", c.Name)
	}
	if c.Dir == "" {
		c.Dir = c.Name
	}
	if c.Module == "" {
		c.Module = "example.com/" + c.Name
	}
	if err := module.CheckImportPath(c.Module); err != nil {
		return fmt.Errorf("module path %q is none that Go takes, like example.com/%s: %w", c.Module, c.Name, err)
	}
	if c.Module == modulePath || strings.HasPrefix(c.Module, modulePath+"/") {
		return fmt.Errorf("module path %q belongs to gristmill itself", c.Module)
	}
	return nil
}

// New writes a project and has the go command fill in its go.mod. A folder that
// is there already must be empty. When the go command fails, the files stay and
// the error says what it said.
func New(ctx context.Context, cfg Config) (*Project, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if err := cfg.SDK.validate(); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("folder %s: %w", cfg.Dir, err)
	}
	if err := requireEmpty(dir); err != nil {
		return nil, err
	}
	p := &Project{Dir: dir, Module: cfg.Module, SDK: cfg.SDK}
	if err := p.copyFiles(cfg.Name); err != nil {
		return nil, err
	}
	if err := p.writeModule(); err != nil {
		return nil, err
	}
	return p, p.resolve(ctx)
}

func requireEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("folder %s: %w", dir, err)
	case len(entries) != 0:
		return fmt.Errorf("folder %s is there already and has %q in it: name another with --dir", dir, entries[0].Name())
	}
	return nil
}

// copyFiles writes the template under the project's names.
func (p *Project) copyFiles(name string) error {
	renamed := strings.NewReplacer(templateImport, p.Module, templateName, name)
	return fs.WalkDir(files, templateDir, func(from string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := files.ReadFile(from)
		if err != nil {
			return err
		}
		to := strings.TrimPrefix(from, templateDir+"/")
		if path.Base(to) == "gitignore" {
			to = path.Join(path.Dir(to), ".gitignore")
		}
		return p.write(to, []byte(renamed.Replace(string(text))))
	})
}

func (p *Project) write(name string, content []byte) error {
	to := filepath.Join(p.Dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return fmt.Errorf("new project: %w", err)
	}
	if err := os.WriteFile(to, content, 0o644); err != nil {
		return fmt.Errorf("new project: %w", err)
	}
	p.Files = append(p.Files, name)
	return nil
}
