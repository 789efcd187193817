package wire_test

import (
	"bufio"
	"fmt"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gristmill-zk/gristmill/wire"
)

type asertRow struct {
	height uint64
	time   int64
	bits   uint32
}

// TestASERTVectors runs Bitcoin Cash's published vectors, and every file of
// the folder that ASERT_VECTORS names.
func TestASERTVectors(t *testing.T) {
	t.Parallel()
	folders := []string{"testdata/asert"}
	if extra := os.Getenv("ASERT_VECTORS"); extra != "" {
		folders = append(folders, extra)
	}
	for _, folder := range folders {
		for _, file := range asertFiles(t, folder) {
			t.Run(filepath.Base(file), func(t *testing.T) {
				t.Parallel()
				runASERTFile(t, file)
			})
		}
	}
}

// asertFiles are all files of a folder but its notes.
func asertFiles(t *testing.T, folder string) (files []string) {
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	for _, entry := range entries {
		if name := entry.Name(); !entry.IsDir() && filepath.Ext(name) != ".md" && name[0] != '.' {
			files = append(files, filepath.Join(folder, name))
		}
	}
	require.NotEmpty(t, files, "no vectors in %s", folder)
	return files
}

func runASERTFile(t *testing.T, file string) {
	anchor, rows := readASERTFile(t, file)
	require.NotEmpty(t, rows)
	for i, row := range rows {
		got := anchor.NextBits(row.height, row.time)
		require.Equalf(t, row.bits, got, "row %d: height %d time %d: want 0x%08x, got 0x%08x", i+1, row.height, row.time, row.bits, got)
	}
}

// readASERTFile reads one file; it takes whatever integers Go takes, so heights
// above 2^63 and times before 1970 or out of order are nothing special.
func readASERTFile(t *testing.T, file string) (wire.ASERT, []asertRow) {
	f, err := os.Open(file)
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	anchor := wire.ASERT{TargetSeconds: 600, HalfLife: 172800, PowLimit: 0x1d00ffff}
	var rows []asertRow
	iterations, found := -1, map[string]bool{}
	scanner := bufio.NewScanner(f)
	for scanner.Scan() {
		line := strings.TrimSpace(scanner.Text())
		if strings.HasPrefix(line, "#") {
			name, value, _ := strings.Cut(strings.TrimLeft(line, "# "), ":")
			value = strings.TrimSpace(value)
			switch name {
			case "anchor height":
				anchor.Height = parseUint(t, value)
			case "anchor ancestor time", "anchor parent time":
				anchor.ParentTime, name = parseInt(t, value), "anchor time"
			case "anchor nBits":
				anchor.Bits = uint32(parseUint(t, value))
			case "iterations":
				iterations = int(parseUint(t, value))
			}
			found[name] = true
			continue
		}
		if fields := strings.Fields(line); len(fields) > 0 {
			require.Len(t, fields, 4, line)
			rows = append(rows, asertRow{parseUint(t, fields[1]), parseInt(t, fields[2]), uint32(parseUint(t, fields[3]))})
		}
	}
	require.NoError(t, scanner.Err())
	for _, name := range []string{"anchor height", "anchor time", "anchor nBits"} {
		require.True(t, found[name], "header lacks %s", name)
	}
	if iterations >= 0 {
		require.Len(t, rows, iterations)
	}
	return anchor, rows
}

func parseUint(t *testing.T, s string) uint64 {
	v, err := strconv.ParseUint(s, 0, 64)
	require.NoError(t, err)
	return v
}

func parseInt(t *testing.T, s string) int64 {
	v, err := strconv.ParseInt(s, 0, 64)
	require.NoError(t, err)
	return v
}

// TestASERTParsesExtremes pins the reading of headers and rows that the
// published set has beyond the files here.
func TestASERTParsesExtremes(t *testing.T) {
	t.Parallel()
	anchor := wire.ASERT{Height: 9223372036854775802, ParentTime: -2147483000, Bits: 0x1a2b3c4d, TargetSeconds: 600, HalfLife: 172800, PowLimit: 0x1d00ffff}
	text := fmt.Sprintf("## description: x\n##   anchor height: %d\n##   anchor parent time: %d\n##   anchor nBits: 0x%08x\n##   iterations: 3\n",
		anchor.Height, anchor.ParentTime, anchor.Bits)
	// On schedule the bits stay what they were, on both sides of 2^63.
	for i, blocks := range []uint64{0, 6, 1000} {
		text += fmt.Sprintf("%d %d %d 0x%08x\n", i+1, anchor.Height+blocks, anchor.ParentTime+600*int64(blocks+1), anchor.Bits)
	}
	file := filepath.Join(t.TempDir(), "run.txt")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	runASERTFile(t, file)
	got, rows := readASERTFile(t, file)
	require.Equal(t, anchor, got)
	require.Greater(t, rows[1].height, uint64(math.MaxInt64))
}

// refASERT is the reference implementation's arithmetic, written from its
// specification with 256-bit wrap-around and an explicit overflow check.
func refASERT(a wire.ASERT, height uint64, time int64) uint32 {
	target, _ := wire.CompactToTarget(a.Bits)
	limit, _ := wire.CompactToTarget(a.PowLimit)
	timeDiff, heightDiff := time-a.ParentTime, int64(height-a.Height)
	exponent := (timeDiff - a.TargetSeconds*(heightDiff+1)) * 65536 / a.HalfLife
	shifts, frac := exponent>>16, uint64(uint16(exponent))
	factor := 65536 + (195766423245049*frac+971821376*frac*frac+5127*frac*frac*frac+(1<<47))>>48
	mod := new(big.Int).Lsh(big.NewInt(1), 256)
	next := new(big.Int).Mul(target, new(big.Int).SetUint64(factor))
	if shifts -= 16; shifts <= 0 {
		next.Rsh(next, uint(-shifts))
	} else {
		shifted := new(big.Int).Lsh(next, uint(shifts))
		shifted.Mod(shifted, mod)
		if new(big.Int).Rsh(shifted, uint(shifts)).Cmp(next) != 0 {
			return a.PowLimit
		}
		next = shifted
	}
	if next.Sign() == 0 {
		return wire.TargetToCompact(big.NewInt(1))
	}
	if next.Cmp(limit) > 0 {
		return a.PowLimit
	}
	return wire.TargetToCompact(next)
}

func TestASERTAgainstReference(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.SampledFrom([]uint32{0x1d00ffff, 0x1e7fffff, 0x1e00ffff}).Draw(t, "limit")
		limitTarget, _ := wire.CompactToTarget(limit)
		size := rapid.IntRange(1, limitTarget.BitLen()-1).Draw(t, "size")
		target := new(big.Int).Lsh(big.NewInt(rapid.Int64Range(1, 1<<24).Draw(t, "mantissa")), 256)
		target.Rsh(target, uint(target.BitLen()-size))
		a := wire.ASERT{
			Height:        rapid.Uint64Range(0, 1<<30).Draw(t, "anchor"),
			ParentTime:    rapid.Int64Range(-1<<32, 1<<32).Draw(t, "parentTime"),
			Bits:          wire.TargetToCompact(target),
			TargetSeconds: rapid.Int64Range(1, 3600).Draw(t, "targetSeconds"),
			HalfLife:      rapid.Int64Range(1, 1<<20).Draw(t, "halfLife"),
			PowLimit:      limit,
		}
		height := rapid.Uint64Range(0, 1<<31).Draw(t, "height")
		onTime := a.ParentTime + a.TargetSeconds*int64(height-a.Height+1)
		time := onTime + rapid.Int64Range(-1<<26, 1<<26).Draw(t, "late")
		if got, want := a.NextBits(height, time), refASERT(a, height, time); got != want {
			t.Fatalf("%+v height %d time %d: got 0x%08x, want 0x%08x", a, height, time, got, want)
		}
	})
}

func TestASERTClampsBeforeOverflow(t *testing.T) {
	t.Parallel()
	a := wire.ASERT{Bits: 0x1e7fffff, TargetSeconds: 10, HalfLife: 1, PowLimit: 0x1e7fffff}
	require.Equal(t, a.PowLimit, a.NextBits(0, math.MaxInt64))
	require.Equal(t, uint32(0x01010000), a.NextBits(0, math.MinInt64))
	require.Equal(t, uint32(0x01010000), a.NextBits(math.MaxUint64, 0))
	require.Equal(t, uint32(0x01010000), a.NextBits(math.MaxUint64, math.MinInt64))
	a.Height = math.MaxUint64
	require.Equal(t, a.PowLimit, a.NextBits(0, 0), "far below the anchor")
	a.HalfLife = 0
	require.Zero(t, a.NextBits(0, 0))
	require.Equal(t, wire.RejectMalformed, wire.CodeOf(a.Validate()))
}
