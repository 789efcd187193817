package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/gristmill-zk/gristmill/node"
	"github.com/gristmill-zk/gristmill/wire"
)

func (a *app) deviceCommand() *cobra.Command {
	return groupCommand("device", "Device keys: make, list",
		`Makes keys for devices of your own to try things out with, or for a gateway that
signs for what is behind it. They are encrypted like account keys. The device id
is what a project lists.`,
		a.deviceNewCommand(), a.deviceListCommand())
}

func (a *app) deviceNewCommand() *cobra.Command {
	var scheme string
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Make a device key and print its id",
		Example: `  gristmill device new roof-meter
  gristmill project device add roof-meter --key owner`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := a.openDir()
			if err != nil {
				return err
			}
			parsed, err := wire.ParseScheme(scheme)
			if err != nil {
				return err
			}
			device, err := node.NewDeviceStore(dir, a.keyring(dir)).New(args[0], parsed)
			if err != nil {
				return err
			}
			return a.show(device, func(w io.Writer) error {
				return facts(w, "name", device.Name, "scheme", device.Scheme, "key", device.Key, "device id", device.ID.String())
			})
		},
	}
	cmd.Flags().StringVar(&scheme, "scheme", wire.SchemeEdDSABN254.String(), "signature scheme: eddsa-bn254 (cheap to prove), secp256k1, p256 or ed25519")
	return cmd
}

func (a *app) deviceListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List device keys",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			dir, err := a.openDir()
			if err != nil {
				return err
			}
			devices, err := node.NewDeviceStore(dir, a.keyring(dir)).List()
			if err != nil {
				return err
			}
			return a.show(devices, func(w io.Writer) error {
				rows := make([][]string, len(devices))
				for i, d := range devices {
					rows[i] = []string{d.Name, d.Scheme, d.ID.String()}
				}
				return table(w, []string{"NAME", "SCHEME", "DEVICE ID"}, rows)
			})
		},
	}
}
