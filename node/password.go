package node

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/term"
)

// Password says where the password of a data directory's keys comes from: the
// named file, else the file "password" in the data directory, else a prompt.
type Password struct {
	// File holds the password on its first line. Empty: none.
	File string
	// Prompt asks a person. Nil: nobody is there to ask.
	Prompt func(confirm bool) (string, error)
}

// ownPasswordBytes is how much chance is in a password that the node made up.
const ownPasswordBytes = 32

// ErrNoPassword says that a key cannot be opened as no password was given.
var ErrNoPassword = errors.New("no password: give --password-file, set GRISTMILL_PASSWORD_FILE, or run in a terminal")

// resolve finds the password; confirm asks a person twice.
func (p Password) resolve(dir DataDir, confirm bool) (string, error) {
	if p.File != "" {
		return readPassword(p.File)
	}
	own, err := readPassword(dir.Path("password"))
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return own, err
	}
	if p.Prompt == nil {
		return "", ErrNoPassword
	}
	return p.Prompt(confirm)
}

// ownPassword makes the data directory's own password file when no other
// source was named, so that an embedded node starts without asking anyone.
func (p Password) ownPassword(dir DataDir) (string, error) {
	if p.File != "" {
		return readPassword(p.File)
	}
	path := dir.Path("password")
	own, err := readPassword(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return own, err
	}
	secret := make([]byte, ownPasswordBytes)
	if _, err := rand.Read(secret); err != nil {
		return "", fmt.Errorf("password: %w", err)
	}
	own = hex.EncodeToString(secret)
	return own, writeFile(path, []byte(own+"\n"))
}

// random says whether a password is one that ownPassword made: 256 random bits,
// which a slow key derivation would add nothing to.
func (p Password) random(secret string) bool {
	raw, err := hex.DecodeString(secret)
	return p.File == "" && err == nil && len(raw) == ownPasswordBytes
}

func readPassword(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("password: %w", err)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	line = strings.TrimSuffix(line, "\r")
	if line == "" {
		return "", fmt.Errorf("password: the first line of %s is empty", path)
	}
	return line, nil
}

// PromptPassword asks on the terminal without showing what is typed.
func PromptPassword(confirm bool) (string, error) {
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		return "", ErrNoPassword
	}
	first, err := askHidden(fd, "Password: ")
	if err != nil || !confirm {
		return first, err
	}
	second, err := askHidden(fd, "Again: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("password: the two differ")
	}
	return first, nil
}

func askHidden(fd int, prompt string) (string, error) {
	fmt.Fprint(os.Stderr, prompt)
	data, err := term.ReadPassword(fd)
	fmt.Fprintln(os.Stderr)
	if err != nil {
		return "", fmt.Errorf("password: %w", err)
	}
	if len(data) == 0 {
		return "", errors.New("password: empty")
	}
	return string(data), nil
}
