package circuits

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/backend/groth16"
	cs "github.com/consensys/gnark/constraint/bn254"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/internal/durable"
)

// setUp finds the keys of a system in a folder or makes them. The proving key
// is in place before the verifying key is, so a folder with the latter has both.
func (c *Circuit) setUp(ctx context.Context, system *cs.R1CS, dir, name string) error {
	base := filepath.Join(dir, fmt.Sprintf("%s-%d-%s", c.Kind, c.Log, name))
	c.Path = base + ".pk"
	c.VerifyingKey = groth16.NewVerifyingKey(ecc.BN254)
	encoded, err := os.ReadFile(base + ".vk")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = c.makeKeys(ctx, system, base+".vk")
	case err == nil:
		_, err = c.VerifyingKey.ReadFrom(bytes.NewReader(encoded))
	}
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	id, err := fileID(c.Path)
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	c.Key, err = gpu.FileKey(id, c.Path)
	return err
}

func (c *Circuit) makeKeys(ctx context.Context, system *cs.R1CS, vkPath string) error {
	pk, vk, err := groth16.Setup(system)
	if err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := writeDump(c.Path, pk); err != nil {
		return err
	}
	var encoded bytes.Buffer
	if _, err := vk.WriteTo(&encoded); err != nil {
		return err
	}
	c.VerifyingKey = vk
	return durable.WriteFile(vkPath, encoded.Bytes())
}

// writeDump streams the key, which may be gigabytes, and names it when whole.
func writeDump(path string, pk groth16.ProvingKey) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), ".key-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	buffered := bufio.NewWriterSize(file, 1<<20)
	if err := errors.Join(pk.WriteDump(buffered), buffered.Flush(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

func fileID(path string) (id gpu.KeyID, err error) {
	file, err := os.Open(path)
	if err != nil {
		return id, err
	}
	defer func() { _ = file.Close() }()
	digest := sha256.New()
	if _, err := io.Copy(digest, file); err != nil {
		return id, err
	}
	return gpu.KeyID(digest.Sum(nil)), nil
}
