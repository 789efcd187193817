// Poseidon2 over BN254's scalar field as gnark-crypto computes it: width 2,
// 6 full and 50 partial rounds, x^5, used as a Merkle–Damgård hash that starts
// at 0 and pads nothing.
import { ascii, bigOf, keccak256 } from './bytes.js';

/** Order of BN254's scalar field, the field of BabyJubjub's coordinates. */
export const R = 21888242871839275222246405745257275088548364400416034343698204186575808495617n;

const FULL = 6;
const PARTIAL = 50;
const CHUNK = 31;

/** x modulo R, never negative. */
export const mod = (x) => ((x % R) + R) % R;

// Round keys are successive Keccak digests of the parameters' name, as in
// gnark-crypto's initRC.
const roundKeys = (() => {
  let digest = keccak256(ascii(`Poseidon2-BN254[t=2,rF=${FULL},rP=${PARTIAL},d=5]`));
  const next = () => mod(bigOf((digest = keccak256(digest))));
  return Array.from({ length: FULL + PARTIAL }, (_, i) => (isFull(i) ? [next(), next()] : [next()]));
})();

function isFull(round) {
  return round < FULL / 2 || round >= FULL / 2 + PARTIAL;
}

const pow5 = (x) => {
  const square = (x * x) % R;
  return (((square * square) % R) * x) % R;
};

function permute(left, right) {
  let a = (2n * left + right) % R;
  let b = (left + 2n * right) % R;
  roundKeys.forEach((keys, round) => {
    if (isFull(round)) {
      const x = pow5(a + keys[0]);
      const y = pow5(b + keys[1]);
      [a, b] = [(2n * x + y) % R, (x + 2n * y) % R];
    } else {
      const x = pow5(a + keys[0]);
      [a, b] = [(2n * x + b) % R, (x + 3n * b) % R];
    }
  });
  return b;
}

/** P2 of field elements, given as BigInts below R. */
export function p2(...elements) {
  return elements.reduce((state, element) => (permute(state, element) + element) % R, 0n);
}

/** Bytes as 31-byte big-endian elements, the last zero-padded on the right. */
export function chunks(bytes) {
  const out = [];
  for (let at = 0; at < bytes.length; at += CHUNK) {
    const chunk = new Uint8Array(CHUNK);
    chunk.set(bytes.subarray(at, at + CHUNK));
    out.push(bigOf(chunk));
  }
  return out;
}
