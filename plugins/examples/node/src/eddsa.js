// EdDSA over BabyJubjub, the checking side; see client/js/lib/babyjubjub.js.
import { edwards } from '@noble/curves/abstract/edwards.js';
import { Field } from '@noble/curves/abstract/modular.js';
import { p2 } from '../../../../client/js/lib/poseidon2.js';
import { R } from './field.js';

const ORDER = 2736030358979909402780800718157159386076813972158567259200215660948447373041n;
const D = 12181644023421730124874158521699555681764249180949974110617291017600649128846n;
const F = Field(R);
const Point = edwards({
  p: R, n: ORDER, h: 8n, a: R - 1n, d: D,
  Gx: 9671717474070082183213120605117400219616337014328744928644933853176787189663n,
  Gy: 16950150798460657717958625567821834550301663161624707787222815936182638968203n,
});

const bigOf = (bytes) => bytes.reduce((n, b) => (n << 8n) | BigInt(b), 0n);

/** The point of a compressed form: y little-endian, the top bit for the larger x. */
function decompress(bytes) {
  const raw = Uint8Array.from(bytes).reverse();
  const larger = (raw[0] & 0x80) !== 0;
  raw[0] &= 0x7f;
  const y = bigOf(raw);
  if (y >= R) throw new Error('point: y is not below the modulus');
  const y2 = F.sqr(y);
  // −x² + y² = 1 + d·x²·y²
  const x = F.sqrt(F.div(F.sub(y2, 1n), F.add(1n, F.mul(D, y2))));
  const root = x > (R - 1n) / 2n === larger ? x : F.neg(x);
  if (x === 0n && larger) throw new Error('point: 0 is not the larger root');
  return Point.fromAffine({ x: root, y });
}

/** The key's point. */
export const keyPoint = (key) => decompress(key).toAffine();

/** Whether the device signed the digest, a field element. */
export function verify(key, digest, signature) {
  try {
    const [a, r, s] = [decompress(key), decompress(signature.subarray(0, 32)), bigOf(signature.subarray(32))];
    if (s >= ORDER) return false;
    const [A, Q] = [a.toAffine(), r.toAffine()];
    const challenge = p2(Q.x, Q.y, A.x, A.y, digest) % ORDER;
    const times = (p, n) => (n === 0n ? Point.ZERO : p.multiplyUnsafe(n));
    return times(Point.BASE, s).subtract(times(a, challenge)).subtract(r).clearCofactor().is0();
  } catch {
    return false;
  }
}
