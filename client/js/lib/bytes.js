// Bytes, numbers and hashes in the forms that docs/protocol.md fixes.
import { keccak_256 } from '@noble/hashes/sha3.js';
import { sha256 as sha256Of } from '@noble/hashes/sha2.js';
import { bytesToHex, concatBytes, hexToBytes } from '@noble/hashes/utils.js';

export { concatBytes };

/** SHA-256 of the parts' concatenation. */
export const sha256 = (...parts) => sha256Of(concatBytes(...parts));

/** Ethereum's Keccak-256 of the parts' concatenation. */
export const keccak256 = (...parts) => keccak_256(concatBytes(...parts));

/** ASCII text as bytes. */
export const ascii = (text) => new TextEncoder().encode(text);

/** Bytes as 0x hex. */
export const toHex = (bytes) => '0x' + bytesToHex(bytes);

/** Bytes of a 0x hex string, or a copy of bytes; of the given length when one is given. */
export function toBytes(value, length, name = 'value') {
  let bytes;
  if (value instanceof Uint8Array) bytes = Uint8Array.from(value);
  else if (typeof value === 'string' && /^0x([0-9a-fA-F]{2})*$/.test(value)) bytes = hexToBytes(value.slice(2));
  else throw new TypeError(`${name} is neither bytes nor 0x hex`);
  if (length !== undefined && bytes.length !== length) {
    throw new RangeError(`${name} has ${bytes.length} bytes, not ${length}`);
  }
  return bytes;
}

/** An unsigned number of the given width as a BigInt; numbers above 2^53 must come as BigInt or string. */
export function toUint(value, bits, name) {
  if (typeof value === 'number' && !Number.isSafeInteger(value)) throw new RangeError(`${name} is no safe integer`);
  if (typeof value === 'string' && !/^[0-9]+$/.test(value)) throw new TypeError(`${name} is no decimal number`);
  const n = BigInt(value);
  if (n < 0n || n >> BigInt(bits)) throw new RangeError(`${name} does not fit into ${bits} bits`);
  return n;
}

/** A big-endian number of the given width in bytes. */
export function beBytes(value, length) {
  let rest = BigInt(value);
  const out = new Uint8Array(length);
  for (let i = length - 1; i >= 0; i--, rest >>= 8n) out[i] = Number(rest & 0xffn);
  if (rest !== 0n) throw new RangeError(`number does not fit into ${length} bytes`);
  return out;
}

/** Bytes as a big-endian number. */
export function bigOf(bytes) {
  let n = 0n;
  for (const b of bytes) n = (n << 8n) | BigInt(b);
  return n;
}
