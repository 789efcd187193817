package node

import (
	"crypto/rand"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/wire"
)

func newDir(t *testing.T) DataDir {
	t.Helper()
	dir, err := OpenDataDir(t.TempDir())
	require.NoError(t, err)
	return dir
}

func TestOneProcessPerRole(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	lock, err := dir.Lock("sequencer")
	require.NoError(t, err)
	_, err = dir.Lock("sequencer")
	require.ErrorIs(t, err, ErrInUse)
	require.ErrorContains(t, err, "pid")
	other, err := dir.Lock("miner")
	require.NoError(t, err)
	require.NoError(t, other.Release())
	require.NoError(t, lock.Release())
	require.NoError(t, lock.Release(), "a second release is harmless")
	lock, err = dir.Lock("sequencer")
	require.NoError(t, err)
	require.NoError(t, lock.Release())
}

func TestFilesAreReplacedWhole(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	path := dir.Path("deep", "down", "file")
	require.NoError(t, writeFile(path, []byte("one")))
	require.NoError(t, writeFile(path, []byte("two")))
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "two", string(data))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
	left, err := os.ReadDir(dir.Path("deep", "down"))
	require.NoError(t, err)
	require.Len(t, left, 1, "no temporary file is left")
}

func TestOwnKeyringNeedsNoOne(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	ring, err := newOwnKeyring(dir, Password{})
	require.NoError(t, err)
	made, err := ring.ensure("owner")
	require.NoError(t, err)
	again, err := newOwnKeyring(dir, Password{})
	require.NoError(t, err)
	opened, err := again.ensure("owner")
	require.NoError(t, err)
	require.True(t, made.Equal(opened))
	viaCommand, err := NewKeyring(dir, Password{}).Open("owner")
	require.NoError(t, err)
	require.True(t, made.Equal(viaCommand))
	_, err = again.New("owner")
	require.ErrorContains(t, err, "already there")
	_, err = again.Open("nobody")
	require.ErrorIs(t, err, ErrNoKey)
}

func TestWrongPasswordOpensNothing(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	ring, err := newOwnKeyring(dir, Password{})
	require.NoError(t, err)
	_, err = ring.New("owner")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(dir.Path("password"), []byte("another\n"), 0o600))
	_, err = NewKeyring(dir, Password{}).Open("owner")
	require.ErrorContains(t, err, "could not decrypt")
	require.NoError(t, os.Remove(dir.Path("password")))
	_, err = NewKeyring(dir, Password{}).Open("owner")
	require.ErrorIs(t, err, ErrNoPassword)
}

func TestDevicesOfEveryScheme(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	ring, err := newOwnKeyring(dir, Password{})
	require.NoError(t, err)
	store := NewDeviceStore(dir, ring)
	deployment := wire.Deployment{ChainID: 1, Registry: wire.Address{1}}
	for _, scheme := range []wire.Scheme{wire.SchemeEdDSABN254, wire.SchemeSecp256k1, wire.SchemeP256, wire.SchemeEd25519} {
		made, err := store.New(scheme.String(), scheme)
		require.NoError(t, err)
		opened, signer, err := store.Open(scheme.String())
		require.NoError(t, err)
		require.Equal(t, made, opened)
		m := wire.Message{Project: 1, Nonce: 1, Payload: []byte("x")}
		require.NoError(t, signer.Sign(deployment, 31, &m))
		require.NoError(t, m.Verify(deployment, 31))
		id, err := m.Key.ID()
		require.NoError(t, err)
		require.Equal(t, made.ID, id)
	}
	list, err := store.List()
	require.NoError(t, err)
	require.Len(t, list, 4)
	_, _, err = store.Open("none")
	require.ErrorIs(t, err, ErrNoDevice)
	_, err = wire.GenerateSecret(wire.SchemeP256, rand.Reader)
	require.NoError(t, err)
}

func TestPayloads(t *testing.T) {
	t.Parallel()
	packed, err := PackPayload("u8:1,u64:1500,i16:-2,u32:0x10,hex:00ff,text:ok")
	require.NoError(t, err)
	require.Equal(t, []byte{1, 0, 0, 0, 0, 0, 0, 5, 220, 255, 254, 0, 0, 0, 16, 0, 255, 'o', 'k'}, packed)
	packed, err = PackPayload("u64:now-ms,u32:now")
	require.NoError(t, err)
	require.Len(t, packed, 12)
	for _, bad := range []string{"", "u8", "u8:256", "u9:1", "i8:-129", "hex:0", "float:1", "u8:x", "u8:1,,u8:2"} {
		_, err := PackPayload(bad)
		require.Error(t, err, bad)
	}
	spec, err := fillTemplate(meterTemplate, []string{"wh=1500", "start=7"})
	require.NoError(t, err)
	require.Equal(t, "u8:1,u64:1500,u64:7,u32:1000", spec)
	for _, bad := range [][]string{nil, {"wh"}, {"wh=1", "volt=2"}} {
		_, err := fillTemplate(meterTemplate, bad)
		require.Error(t, err, "%v", bad)
	}
}

func TestAmounts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"1": "1", "1.5": "1.5", "0.000000000000000001": "0.000000000000000001", "0": "0", "12.3400": "12.34"} {
		amount, err := ParseAmount(text)
		require.NoError(t, err, text)
		require.Equal(t, want, FormatAmount(amount))
	}
	for _, bad := range []string{"", ".5", "-1", "1e3", "1.0000000000000000001", "1_0", "+1", "1.-5"} {
		_, err := ParseAmount(bad)
		require.Error(t, err, bad)
	}
}
