package bundle

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// Platform is what an executable runs on, as GOOS and GOARCH spell it.
type Platform struct {
	OS   string
	Arch string
}

// String is "os/arch".
func (p Platform) String() string { return p.OS + "/" + p.Arch }

// ParsePlatform reads "os/arch". Whether Go builds for it is found when it is
// built.
func ParsePlatform(text string) (Platform, error) {
	system, arch, found := strings.Cut(text, "/")
	if !found || !isPlatformWord(system) || !isPlatformWord(arch) {
		return Platform{}, fmt.Errorf("platform %q: want os/arch, such as linux/arm64", text)
	}
	return Platform{OS: system, Arch: arch}, nil
}

func isPlatformWord(text string) bool {
	return text != "" && len(text) <= 16 && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
}

// host is this machine's platform.
func host() Platform { return Platform{OS: runtime.GOOS, Arch: runtime.GOARCH} }

func (c *BuildConfig) validatePlatforms() error {
	if len(c.Platforms) > 0 && c.Source == "" {
		return errors.New("bundle: Platforms need Source: an executable can not be built from another")
	}
	for _, p := range c.Platforms {
		if !isPlatformWord(p.OS) || !isPlatformWord(p.Arch) {
			return fmt.Errorf("bundle: Platforms: %q is no platform", p)
		}
	}
	return nil
}

// compile makes the executables, this machine's first.
func (b *builder) compile(ctx context.Context) error {
	targets := []Platform{host()}
	for _, p := range b.cfg.Platforms {
		if !slices.Contains(targets, p) {
			targets = append(targets, p)
		}
	}
	for _, target := range targets {
		part := Part{Name: PartPlugin, Path: "plugin-" + target.OS + "-" + target.Arch, OS: target.OS, Arch: target.Arch}
		path := filepath.Join(b.dir, part.Path)
		if b.cfg.Source == "" {
			if err := copyExecutable(b.cfg.Binary, path); err != nil {
				return err
			}
		} else {
			b.cfg.Progress("compile plugin for " + target.String())
			if err := goBuild(ctx, b.cfg.Source, path, target); err != nil {
				return err
			}
		}
		hashed, err := hashFile(path)
		if err != nil {
			return err
		}
		part.Size, part.SHA256 = hashed.Size, hashed.SHA256
		b.plugins = append(b.plugins, part)
	}
	return nil
}

// goBuild compiles so that the same source gives the same bytes: no paths, no
// version control, no build id, no C.
func goBuild(ctx context.Context, source, out string, target Platform) error {
	abs, err := filepath.Abs(out)
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", abs, ".")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+target.OS, "GOARCH="+target.Arch)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("bundle: go build in %s for %s: %w: %s", source, target, err, lastLines(text))
	}
	return nil
}

// copyExecutable copies a program that is executed afterwards. No process is
// started meanwhile: it would have the file open for writing until it becomes
// another program, and the kernel executes nothing that somebody may write.
func copyExecutable(from, to string) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return copyFile(from, to, 0o755, "plugin executable")
}

// copyFile copies into a new file.
func copyFile(from, to string, mode os.FileMode, what string) error {
	src, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("bundle: %s: %w", what, err)
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	_, err = io.Copy(dst, src)
	if err := errors.Join(err, dst.Close()); err != nil {
		return fmt.Errorf("bundle: copy the %s: %w", what, err)
	}
	return nil
}

// toolsOf reads what an executable was made with. It says the same on every
// machine, whatever this program was made with. Nothing is known of one in
// another language, or without its build information.
func toolsOf(path string) Tools {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return Tools{Go: "unknown", Gnark: "unknown"}
	}
	tools := Tools{Go: info.GoVersion, Gnark: "unknown"}
	for _, dep := range info.Deps {
		if dep.Path != "github.com/consensys/gnark" {
			continue
		}
		tools.Gnark = dep.Version
		if dep.Replace != nil {
			tools.Gnark = strings.TrimSpace(dep.Replace.Path + " " + dep.Replace.Version)
		}
	}
	return tools
}

// hasPlugins says whether a bundle has these executables and no others.
func (b *Bundle) hasPlugins(want []Part) bool {
	var have []Part
	for _, p := range b.Manifest.Parts {
		if p.Name == PartPlugin {
			have = append(have, p)
		}
	}
	return slices.Equal(sortedPlugins(have), sortedPlugins(want))
}

// sortedPlugins orders executables by platform, so that the order in which they
// were asked for does not show.
func sortedPlugins(parts []Part) []Part {
	return slices.SortedFunc(slices.Values(parts), func(a, b Part) int { return strings.Compare(a.key(), b.key()) })
}
