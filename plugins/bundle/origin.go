package bundle

import (
	"strings"

	"github.com/gristmill-zk/gristmill/wire"
)

// Keys says where the proving and verifying keys come from.
type Keys string

const (
	// KeysInsecureDev marks keys made by one machine that could forge proofs: the
	// trapdoor was in its memory. Good for development only.
	KeysInsecureDev Keys = "insecure-dev-setup"
	// KeysCeremony marks keys to which several parties contributed; as long as
	// one of them forgot its secret, nobody can forge proofs. [CeremonyInfo] says
	// which ceremony.
	KeysCeremony Keys = "ceremony"
)

// CeremonyInfo names the ceremony that made a bundle's keys. It is a claim until
// somebody holds the keys against the transcript itself.
type CeremonyInfo struct {
	// Transcript is the SHA-256 of the ceremony's log, ceremony.json.
	Transcript wire.Hash `json:"transcript"`
	// Contributors are the names in the log, in order, each once.
	Contributors []string `json:"contributors"`
}

// maxContributors bounds the list in a manifest.
const maxContributors = 1024

func (m *Manifest) validateKeys() error {
	switch {
	case m.Keys != KeysInsecureDev && m.Keys != KeysCeremony:
		return blame(ManifestName, ErrMalformed, "keys are of the unknown kind %q", m.Keys)
	case (m.Keys == KeysCeremony) != (m.Ceremony != nil):
		return blame(ManifestName, ErrMalformed, "keys %q and the entry on a ceremony do not go together", m.Keys)
	case m.Ceremony == nil:
		return nil
	}
	names := m.Ceremony.Contributors
	if len(names) < 1 || len(names) > maxContributors {
		return blame(ManifestName, ErrMalformed, "ceremony has %d contributors, must have 1 to %d", len(names), maxContributors)
	}
	for _, name := range names {
		if name == "" || len(name) > maxNameLength || strings.ContainsFunc(name, notPrintable) {
			return blame(ManifestName, ErrMalformed, "a contributor's name must be 1 to %d printable ASCII characters", maxNameLength)
		}
	}
	return nil
}
