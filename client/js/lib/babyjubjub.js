// EdDSA over BabyJubjub in the form a = -1, as gnark-crypto's
// bn254/twistededwards/eddsa has it: keys from a BLAKE2b-512 of the seed,
// Poseidon2 inside, big-endian scalars, little-endian compressed points.
import { edwards } from '@noble/curves/abstract/edwards.js';
import { blake2b } from '@noble/hashes/blake2.js';
import { beBytes, bigOf, concatBytes } from './bytes.js';
import { p2, R } from './poseidon2.js';

const ORDER = 2736030358979909402780800718157159386076813972158567259200215660948447373041n;

const Point = edwards({
  p: R,
  n: ORDER,
  h: 8n,
  a: R - 1n,
  d: 12181644023421730124874158521699555681764249180949974110617291017600649128846n,
  Gx: 9671717474070082183213120605117400219616337014328744928644933853176787189663n,
  Gy: 16950150798460657717958625567821834550301663161624707787222815936182638968203n,
});

// The scalar is a multiple of the base's order only with negligible chance.
const timesBase = (scalar) => Point.BASE.multiply(scalar % ORDER).toAffine();

/** 32 bytes: y little-endian, the top bit set when x is the larger root. */
function compress({ x, y }) {
  const out = beBytes(y, 32).reverse();
  if (x > (R - 1n) / 2n) out[31] |= 0x80;
  return out;
}

/** A key pair from a 32-byte seed: {key, elements [x, y], sign(32 bytes)}. */
export function keyPair(seed) {
  const digest = blake2b(seed, { dkLen: 64 });
  const random = digest.slice(32);
  const pruned = digest.slice(0, 32).reverse();
  pruned[31] &= 0xf8;
  pruned[0] = (pruned[0] & 0x7f) | 0x40;
  const scalar = bigOf(pruned);
  const point = timesBase(scalar);
  const sign = (message) => {
    const blinding = bigOf(blake2b(concatBytes(random, message), { dkLen: 64 }).subarray(0, 32));
    const r = timesBase(blinding);
    const challenge = p2(r.x, r.y, point.x, point.y, bigOf(message));
    return concatBytes(compress(r), beBytes((blinding + challenge * scalar) % ORDER, 32));
  };
  return { key: compress(point), elements: [point.x, point.y], sign };
}
