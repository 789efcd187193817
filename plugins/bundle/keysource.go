package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	groth16 "github.com/consensys/gnark/backend/groth16/bn254"
	cs "github.com/consensys/gnark/constraint/bn254"

	"github.com/gristmill-zk/gristmill/internal/groth16vk"
	"github.com/gristmill-zk/gristmill/wire"
)

// KeySource are keys that were made before, and for which circuit.
type KeySource struct {
	// Origin says how they were made; with KeysCeremony, Ceremony says by whom.
	Origin   Keys
	Ceremony *CeremonyInfo

	// Circuit is the SHA-256 of the constraint system that they are for.
	Circuit wire.Hash

	// ProvingKey is in the form of gnark's WriteDump, VerifyingKey in that of
	// WriteRawTo.
	ProvingKey   KeyFile
	VerifyingKey KeyFile
}

// KeyFile is a file and the digest that it must have.
type KeyFile struct {
	Path   string
	SHA256 wire.Hash
}

// KeySource lends the keys of a bundle to another of the same circuit.
func (b *Bundle) KeySource() (*KeySource, error) {
	k := &KeySource{Origin: b.Manifest.Keys, Ceremony: b.Manifest.Ceremony}
	circuit, err := b.Part(PartCircuit)
	if err != nil {
		return nil, err
	}
	k.Circuit = circuit.SHA256
	for name, file := range map[string]*KeyFile{PartProvingKey: &k.ProvingKey, PartVerifyingKey: &k.VerifyingKey} {
		part, err := b.Part(name)
		if err != nil {
			return nil, err
		}
		file.SHA256 = part.SHA256
		if file.Path, err = b.Path(name); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// keys makes the keys, or takes those that were made before.
func (b *builder) keys(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if b.cfg.Keys != nil {
		return b.takeKeys(b.cfg.Keys)
	}
	return b.setup()
}

func (b *builder) takeKeys(k *KeySource) error {
	b.cfg.Progress("take keys")
	circuit, err := hashFile(filepath.Join(b.dir, fileCircuit))
	if err != nil {
		return err
	}
	if circuit.SHA256 != k.Circuit {
		return blame(PartCircuit, ErrMismatch, "its SHA-256 is %s, the keys are for %s", circuit.SHA256, k.Circuit)
	}
	for _, file := range []struct {
		part, name string
		from       KeyFile
	}{{PartProvingKey, fileProvingKey, k.ProvingKey}, {PartVerifyingKey, fileVerifyingKey, k.VerifyingKey}} {
		path := filepath.Join(b.dir, file.name)
		if err := copyFile(file.from.Path, path, 0o644, file.part); err != nil {
			return err
		}
		hashed, err := hashFile(path)
		if err != nil {
			return err
		}
		if hashed.SHA256 != file.from.SHA256 {
			return blame(file.part, ErrAltered, "the SHA-256 of %s is %s, must be %s", file.from.Path, hashed.SHA256, file.from.SHA256)
		}
	}
	vk, err := readVerifyingKey(filepath.Join(b.dir, fileVerifyingKey))
	if err != nil {
		return err
	}
	b.manifest.Keys, b.manifest.Ceremony = k.Origin, k.Ceremony
	return b.writeEVMKey(vk)
}

func readVerifyingKey(path string) (vk *groth16.VerifyingKey, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	defer f.Close()
	// The decoders of gnark panic on some bad input.
	defer func() {
		if p := recover(); p != nil {
			vk, err = nil, blame(PartVerifyingKey, ErrMalformed, "%v", p)
		}
	}()
	vk = new(groth16.VerifyingKey)
	if _, err := vk.ReadFrom(io.LimitReader(f, partBounds[PartVerifyingKey])); err != nil {
		return nil, blame(PartVerifyingKey, ErrMalformed, "%v", err)
	}
	return vk, nil
}

// setup makes keys whose trapdoor this machine knew.
func (b *builder) setup() error {
	b.cfg.Progress("make keys")
	b.manifest.Keys = KeysInsecureDev
	system := new(cs.R1CS)
	f, err := os.Open(filepath.Join(b.dir, fileCircuit))
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	_, err = system.ReadFrom(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("bundle: the plugin's circuit: %w", err)
	}
	var pk groth16.ProvingKey
	var vk groth16.VerifyingKey
	if err := groth16.Setup(system, &pk, &vk); err != nil {
		return fmt.Errorf("bundle: setup: %w", err)
	}
	return errors.Join(
		b.write(fileProvingKey, pk.WriteDump),
		b.write(fileVerifyingKey, func(w io.Writer) error { _, err := vk.WriteRawTo(w); return err }),
		b.writeEVMKey(&vk),
	)
}

func (b *builder) writeEVMKey(vk *groth16.VerifyingKey) error {
	evm, err := groth16vk.EncodeVK(vk)
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	b.manifest.VKID = groth16vk.ID(evm)
	return b.write(fileEVMKey, func(w io.Writer) error { _, err := w.Write(evm); return err })
}
