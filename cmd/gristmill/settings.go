package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// applySettings fills the flags that the command line left alone: from the
// environment, else from config.yaml in the data directory. The file's keys
// are flag names; below a command's name they hold for that command only:
//
//	log-level: info
//	worker:
//	  slots: 2
func applySettings(cmd *cobra.Command) error {
	if err := fromEnvironment(cmd.Flags()); err != nil {
		return err
	}
	dir, err := cmd.Flags().GetString("data-dir")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "config.yaml")
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	var settings map[string]any
	if err := yaml.Unmarshal(data, &settings); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := fromFile(cmd, settings); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func envName(flag string) string {
	return "GRISTMILL_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

func fromEnvironment(flags *pflag.FlagSet) error {
	var first error
	flags.VisitAll(func(f *pflag.Flag) {
		value, ok := os.LookupEnv(envName(f.Name))
		if !ok || f.Changed || f.Name == "help" {
			return
		}
		if err := flags.Set(f.Name, value); err != nil && first == nil {
			first = fmt.Errorf("%s: %w", envName(f.Name), err)
		}
	})
	return first
}

func fromFile(cmd *cobra.Command, settings map[string]any) error {
	known := commandNames(cmd.Root())
	for _, key := range sortedKeys(settings) {
		section, isSection := settings[key].(map[string]any)
		switch {
		case isSection && slices.Contains(known, key):
			if key != commandKey(cmd) {
				continue
			}
			for _, name := range sortedKeys(section) {
				if err := setFromFile(cmd, name, section[name], true); err != nil {
					return fmt.Errorf("%s: %w", key, err)
				}
			}
		case isSection:
			return fmt.Errorf("%s is no command of gristmill", key)
		default:
			if err := setFromFile(cmd, key, settings[key], false); err != nil {
				return err
			}
		}
	}
	return nil
}

// setFromFile sets one flag; a key at the top of the file may belong to other
// commands only, one below this command's name may not.
func setFromFile(cmd *cobra.Command, name string, value any, mustExist bool) error {
	flag := cmd.Flags().Lookup(name)
	if flag == nil {
		if !mustExist && flagSomewhere(cmd.Root(), name) {
			return nil
		}
		return fmt.Errorf("%s is no setting (settings are named like flags, see --help)", name)
	}
	if name == "data-dir" {
		return errors.New("data-dir cannot be set in the file that is found by it")
	}
	if flag.Changed {
		return nil
	}
	if err := cmd.Flags().Set(name, settingText(value)); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func settingText(value any) string {
	if list, ok := value.([]any); ok {
		parts := make([]string, len(list))
		for i, v := range list {
			parts[i] = fmt.Sprint(v)
		}
		return strings.Join(parts, ",")
	}
	return fmt.Sprint(value)
}

// commandKey is a command's name in the file: "worker", "project deposit".
func commandKey(cmd *cobra.Command) string {
	return strings.TrimPrefix(strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()), " ")
}

func commandNames(cmd *cobra.Command) []string {
	names := []string{commandKey(cmd)}
	for _, c := range cmd.Commands() {
		names = append(names, commandNames(c)...)
	}
	return names
}

func flagSomewhere(cmd *cobra.Command, name string) bool {
	if cmd.Flags().Lookup(name) != nil || cmd.PersistentFlags().Lookup(name) != nil {
		return true
	}
	return slices.ContainsFunc(cmd.Commands(), func(c *cobra.Command) bool { return flagSomewhere(c, name) })
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
