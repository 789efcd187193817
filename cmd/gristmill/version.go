package main

import (
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// versionInfo is what `version --json` prints.
type versionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Modified bool   `json:"modified,omitempty"`
	Time     string `json:"time,omitempty"`
	Go       string `json:"go"`
	Gnark    string `json:"gnark"`
	Geth     string `json:"go_ethereum"`
	Platform string `json:"platform"`
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Say which gristmill this is",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			v := readVersion()
			return a.show(v, func(w io.Writer) error {
				revision := v.Revision
				if v.Modified {
					revision += " (with local changes)"
				}
				return facts(w, "gristmill", v.Version, "revision", strings.TrimSpace(revision), "built with", v.Go+" "+v.Platform,
					"gnark", v.Gnark, "go-ethereum", v.Geth)
			})
		},
	}
}

func readVersion() versionInfo {
	v := versionInfo{Version: "unknown", Revision: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v.Version = info.Main.Version
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	for _, dep := range info.Deps {
		switch dep.Path {
		case "github.com/consensys/gnark":
			v.Gnark = dep.Version
		case "github.com/ethereum/go-ethereum":
			v.Geth = dep.Version
		}
	}
	return v
}
