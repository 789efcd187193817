// Package house holds the rule of which room may import which.
package house

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/gristmill-zk/gristmill/"

// mayImport is the table of docs/architecture.md: a room (a top-level folder)
// and the rooms it may import besides itself and internal/.
var mayImport = map[string][]string{
	"wire":      {},
	"miner":     {"wire"},
	"chain":     {"wire"},
	"sequencer": {"wire", "chain", "miner"},
	"scheduler": {"wire", "chain"},
	"plugins":   {"wire"},
	"gpu":       {},
	"worker":    {"wire", "plugins", "gpu"},
	"client":    {"wire"},
	"audit":     {"wire", "chain", "plugins"},
	"contracts": {"wire", "chain"},
	"bench":     {"*"},
	"node":      {"*"},
	"cmd":       {"*"},
}

// internalMayImport is the same for the packages below internal/.
var internalMayImport = map[string][]string{
	"internal/groth16vk":  {"wire"},
	"internal/e2e":        {"*"},
	"internal/tinybundle": {"plugins"},
}

// heavy is what only some rooms may pull in, test files apart: go-ethereum
// takes minutes to compile and a circuit author should not pay for it.
var heavy = map[string][]string{
	"github.com/ethereum/go-ethereum": {"chain", "sequencer", "scheduler", "audit", "node", "cmd", "bench", "contracts"},
}

func TestRoomsImportOnlyWhatTheyMay(t *testing.T) {
	t.Parallel()
	for _, file := range goFiles(t) {
		room := roomOf(file)
		allowed, known := allowedFor(room, file)
		if !known {
			t.Errorf("%s: the folder %q is no room of the house: add it to docs/architecture.md and to this table", file, room)
			continue
		}
		for _, path := range imports(t, file) {
			target, ours := strings.CutPrefix(path, module)
			if !ours {
				continue
			}
			to, _, _ := strings.Cut(target, "/")
			if to == room || to == "internal" || slices.Contains(allowed, "*") || slices.Contains(allowed, to) {
				continue
			}
			t.Errorf("%s: %s may not import %s", file, room, to)
		}
	}
}

func TestHeavyDependenciesStayInTheirRooms(t *testing.T) {
	t.Parallel()
	for _, file := range goFiles(t) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, path := range imports(t, file) {
			for dep, rooms := range heavy {
				if strings.HasPrefix(path, dep) && !slices.Contains(rooms, roomOf(file)) && !strings.HasPrefix(file, "internal/e2e/") {
					t.Errorf("%s: %s may not import %s", file, roomOf(file), path)
				}
			}
		}
	}
}

func TestFilesStayShort(t *testing.T) {
	t.Parallel()
	for _, file := range goFiles(t) {
		if strings.Contains(file, "/bindings/") || strings.HasSuffix(file, ".pb.go") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(data), "\n"); n > 600 {
			t.Errorf("%s has %d lines: split it by noun before 600", file, n)
		}
	}
}

func allowedFor(room, file string) ([]string, bool) {
	if room != "internal" {
		allowed, known := mayImport[room]
		return allowed, known
	}
	for prefix, allowed := range internalMayImport {
		if strings.HasPrefix(file, prefix+"/") {
			return allowed, true
		}
	}
	return nil, true
}

const root = "../.."

func goFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || (strings.HasPrefix(d.Name(), ".") && rel != ".")) {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			files = append(files, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("only %d Go files found below %s", len(files), root)
	}
	return files
}

func roomOf(file string) string {
	room, _, _ := strings.Cut(file, "/")
	return room
}

func imports(t *testing.T, file string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.ImportsOnly)
	if err != nil {
		t.Errorf("%s: %v", file, err)
		return nil
	}
	var paths []string
	for _, spec := range parsed.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}
