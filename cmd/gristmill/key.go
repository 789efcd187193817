package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gristmill-zk/gristmill/node"
)

func (a *app) keyCommand() *cobra.Command {
	return groupCommand("key", "Account keys: make, import, list",
		`Keys are kept encrypted in DATA_DIR/keys as web3 secret storage (version 3), the
format that geth, MetaMask and foundry read. The password comes from
--password-file or GRISTMILL_PASSWORD_FILE, else from DATA_DIR/password (made by
"up" and "demo" for their own keys), else it is asked for.`,
		a.keyNewCommand(), a.keyImportCommand(), a.keyListCommand(), a.keySignerCommand())
}

func (a *app) keyNewCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "new NAME",
		Short:   "Make a key and print its address",
		Example: "  gristmill key new prover\n  gristmill key new owner --password-file ~/.secret --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := a.openDir()
			if err != nil {
				return err
			}
			account, err := a.keyring(dir).New(args[0])
			if err != nil {
				return err
			}
			return a.showAccount(account)
		},
	}
}

func (a *app) keyImportCommand() *cobra.Command {
	var file, filePassword string
	cmd := &cobra.Command{
		Use:   "import NAME",
		Short: "Take over a key: hexadecimal on standard input, or a keystore file",
		Example: `  gristmill key import owner < secret.hex
  gristmill key import owner --keystore UTC--2026-...json --keystore-password-file old-password`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := a.openDir()
			if err != nil {
				return err
			}
			account, err := a.importKey(a.keyring(dir), args[0], file, filePassword)
			if err != nil {
				return err
			}
			return a.showAccount(account)
		},
	}
	cmd.Flags().StringVar(&file, "keystore", "", "keystore file to take the key from")
	cmd.Flags().StringVar(&filePassword, "keystore-password-file", "", "file with that keystore file's password")
	return cmd
}

func (a *app) importKey(ring *node.Keyring, name, file, passwordFile string) (node.Account, error) {
	if file == "" {
		secret, err := io.ReadAll(io.LimitReader(a.stdin, 1024))
		if err != nil {
			return node.Account{}, fmt.Errorf("read the key from standard input: %w", err)
		}
		return ring.ImportHex(name, string(secret))
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return node.Account{}, err
	}
	password, err := keystorePassword(passwordFile)
	if err != nil {
		return node.Account{}, err
	}
	return ring.ImportKeystore(name, data, password)
}

func keystorePassword(file string) (string, error) {
	if file == "" {
		return node.PromptPassword(false)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSuffix(line, "\r"), nil
}

func (a *app) keyListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List keys and their addresses",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			dir, err := a.openDir()
			if err != nil {
				return err
			}
			accounts, err := a.keyring(dir).List()
			if err != nil {
				return err
			}
			return a.show(accounts, func(w io.Writer) error {
				rows := make([][]string, len(accounts))
				for i, account := range accounts {
					rows[i] = []string{account.Name, account.Address.Hex()}
				}
				return table(w, []string{"NAME", "ADDRESS"}, rows)
			})
		},
	}
}

func (a *app) showAccount(account node.Account) error {
	return a.show(account, func(w io.Writer) error {
		return facts(w, "name", account.Name, "address", account.Address.Hex())
	})
}
