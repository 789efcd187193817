// The layout of a solution in file descriptor 4: a header, then W, A and B, each
// element as four little-endian 64-bit limbs of x·2^256 mod r.
import { writeSync } from 'node:fs';
import { mod } from './field.js';

const HEADER = 128;
const ELEMENT = 32;
const MAGIC = Buffer.from([0x47, 0x4d, 0x53, 0x4f, 0x4c, 0x56, 0, 1]); // GMSOLV 0 1
const MONTGOMERY = 1n << 256n;
const LIMB = (1n << 64n) - 1n;

/** Writes a solution, the header last. */
export function writeSolution(fd, { w, a, b }, { publicWires, task, ticket }) {
  const elements = Buffer.alloc((w.length + 2 * a.length) * ELEMENT);
  let at = 0;
  for (const vector of [w, a, b]) {
    for (const x of vector) {
      let rest = mod(x * MONTGOMERY);
      for (let limb = 0; limb < 4; limb++, at += 8, rest >>= 64n) elements.writeBigUInt64LE(rest & LIMB, at);
    }
  }
  writeAll(fd, elements, HEADER);

  const header = Buffer.alloc(HEADER);
  MAGIC.copy(header);
  header.writeBigUInt64LE(BigInt(w.length), 8);
  header.writeBigUInt64LE(BigInt(a.length), 16);
  header.writeUInt32LE(publicWires, 24);
  task.copy(header, 32);
  ticket.copy(header, 64);
  writeAll(fd, header, 0);
}

function writeAll(fd, bytes, position) {
  for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done, position + done);
}
