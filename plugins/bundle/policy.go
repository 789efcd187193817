package bundle

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/gristmill-zk/gristmill/wire"
)

// Policy is an operator's allow-list: bundles that one of its keys signed, and
// bundles that it names by digest.
type Policy struct {
	Signers []note.Verifier
	Digests map[wire.Hash]bool
}

// maxPolicy bounds an allow-list, in lines.
const maxPolicy = 10_000

// ParsePolicy reads an allow-list of one entry a line: a signer's public key
// ("name+hash+key", as it was printed when the key was made) or a bundle's digest
// (0x and 64 hexadecimal digits). Empty lines and lines that begin with # are
// passed over. A list that allows nothing is an error.
func ParsePolicy(r io.Reader) (*Policy, error) {
	p := &Policy{Digests: map[wire.Hash]bool{}}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		if n > maxPolicy {
			return nil, fmt.Errorf("allow-list: more than %d lines", maxPolicy)
		}
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if err := p.add(line); err != nil {
			return nil, fmt.Errorf("allow-list: line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("allow-list: %w", err)
	}
	if len(p.Signers) == 0 && len(p.Digests) == 0 {
		return nil, fmt.Errorf("allow-list: it names no signer and no digest, so no bundle could be used")
	}
	return p, nil
}

func (p *Policy) add(line string) error {
	if strings.HasPrefix(line, "0x") {
		digest, err := wire.ParseHash(line)
		if err != nil {
			return fmt.Errorf("digest %q: %w", line, err)
		}
		p.Digests[digest] = true
		return nil
	}
	key, err := note.NewVerifier(line)
	if err != nil {
		return fmt.Errorf("%q is neither a digest (0x…) nor a signer's public key (name+hash+key): %w", line, err)
	}
	p.Signers = append(p.Signers, key)
	return nil
}

// Check refuses a bundle that the list does not allow, with ErrUntrusted. A nil
// policy allows all.
func (p *Policy) Check(b *Bundle) error {
	if p == nil || p.Digests[b.Digest] {
		return nil
	}
	signatures, err := b.readSignatures()
	if err != nil {
		return err
	}
	return p.Allow(b.Digest, signatures)
}

// Allow is Check for a digest and the content of the file of signatures, nil
// when there is none.
func (p *Policy) Allow(digest wire.Hash, signatures []byte) error {
	if p == nil || p.Digests[digest] {
		return nil
	}
	if signatures == nil {
		return blame(ManifestName, ErrUntrusted, "nobody signed it, and its digest %s is not listed", digest)
	}
	signed, err := parseSignatures(signatures, digest, p.Signers)
	if err != nil {
		return err
	}
	if len(signed.Sigs) > 0 {
		return nil
	}
	claimed := signerNames(signed.UnverifiedSigs)
	return blame(ManifestName, ErrUntrusted, "it is signed by %s, who are not listed, nor is its digest %s", strings.Join(claimed, ", "), digest)
}
