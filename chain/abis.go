package chain

import (
	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"

	"github.com/gristmill-zk/gristmill/chain/bindings"
)

// contractABIs are the interfaces of every contract of ours.
func contractABIs() []abi.ABI {
	var list []abi.ABI
	for _, m := range []*bind.MetaData{
		&bindings.RegistryMetaData, &bindings.ProjectRegistryMetaData, &bindings.DeviceRegistryMetaData,
		&bindings.ProverRegistryMetaData, &bindings.SequencerRegistryMetaData, &bindings.VerifyingKeysMetaData,
		&bindings.Groth16VerifierMetaData, &bindings.BlockMinterMetaData, &bindings.TaskManagerMetaData,
		&bindings.EscrowMetaData, &bindings.RewardPoolMetaData, &bindings.MeterTotalsMetaData, &bindings.GristTokenMetaData,
	} {
		// The generated interfaces parse: a test decodes an error of each.
		if parsed, err := m.ParseABI(); err == nil {
			list = append(list, *parsed)
		}
	}
	return list
}
