package provingkey

// counts are the numbers of points that solutions are held against.
type counts struct {
	k       int   // of K
	covered []int // of each commitment's basis
}

func (k *Key) counts() *counts {
	if k.dropped != nil {
		return k.dropped
	}
	c := &counts{k: len(k.ZK) - k.SizeZ}
	for i := range k.Commitments {
		c.covered = append(c.covered, len(k.Commitments[i].Basis))
	}
	return c
}

// DropPoints lets go of all points but the few single ones, for an engine that
// has them on its device. What remains still checks requests.
func (k *Key) DropPoints() {
	k.dropped = k.counts()
	k.A, k.B, k.BG2, k.ZK, k.Commitments = nil, nil, nil, nil, nil
}
