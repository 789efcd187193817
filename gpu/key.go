package gpu

import (
	"encoding/hex"
	"fmt"
	"io"
	"os"
)

// KeyID names a proving key: the SHA-256 of its bytes. An engine trusts that
// equal names mean equal keys.
type KeyID [32]byte

// String is the name in hex.
func (id KeyID) String() string { return hex.EncodeToString(id[:]) }

// Key is a proving key and where to read it. The bytes are what gnark's
// ProvingKey.WriteDump writes.
type Key struct {
	ID KeyID
	// Size is the number of bytes that Open delivers.
	Size int64
	// Open starts reading from the beginning. The reader reports altered bytes
	// with an error instead of io.EOF, if it can tell; the engine reads to the
	// end before it uses a key. Several readers may be open at once.
	Open func() (io.ReadCloser, error)
}

// FileKey is a key in a file. Nothing checks that the file has the digest id.
func FileKey(id KeyID, path string) (Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Key{}, fmt.Errorf("proving key: %w", err)
	}
	return Key{
		ID:   id,
		Size: info.Size(),
		Open: func() (io.ReadCloser, error) { return os.Open(path) },
	}, nil
}
