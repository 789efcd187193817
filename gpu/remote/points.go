package remote

import (
	"fmt"

	"github.com/consensys/gnark-crypto/ecc/bn254"

	"github.com/gristmill-zk/gristmill/gpu"
	"github.com/gristmill-zk/gristmill/gpu/proto"
)

func encodeG1(p *bn254.G1Affine) []byte {
	raw := p.RawBytes()
	return raw[:]
}

// decodeG1 also checks that the point is on the curve.
func decodeG1(raw []byte) (p bn254.G1Affine, err error) {
	if len(raw) != bn254.SizeOfG1AffineUncompressed {
		return p, fmt.Errorf("a point of %d bytes", len(raw))
	}
	_, err = p.SetBytes(raw)
	return p, err
}

func encodeProof(p *gpu.Proof) *proto.Proof {
	bs := p.Bs.RawBytes()
	out := &proto.Proof{Ar: encodeG1(&p.Ar), Bs: bs[:], Krs: encodeG1(&p.Krs), Knowledge: encodeG1(&p.Knowledge)}
	for i := range p.Commitments {
		out.Commitments = append(out.Commitments, encodeG1(&p.Commitments[i]))
	}
	return out
}

func decodeProof(p *proto.Proof) (*gpu.Proof, error) {
	out := &gpu.Proof{}
	for _, part := range []struct {
		to  *bn254.G1Affine
		raw []byte
	}{{&out.Ar, p.GetAr()}, {&out.Krs, p.GetKrs()}, {&out.Knowledge, p.GetKnowledge()}} {
		var err error
		if *part.to, err = decodeG1(part.raw); err != nil {
			return nil, err
		}
	}
	if len(p.GetBs()) != bn254.SizeOfG2AffineUncompressed {
		return nil, fmt.Errorf("a point of %d bytes in G2", len(p.GetBs()))
	}
	if _, err := out.Bs.SetBytes(p.GetBs()); err != nil {
		return nil, err
	}
	for _, raw := range p.GetCommitments() {
		point, err := decodeG1(raw)
		if err != nil {
			return nil, err
		}
		out.Commitments = append(out.Commitments, point)
	}
	return out, nil
}
