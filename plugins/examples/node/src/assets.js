// What build.js puts into the executable: the files of a bundle that the Go
// command in ../circuit made, and the program that leads to all wires.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { getAsset } from 'node:sea';

/** Names of the files that `export` writes. */
const exported = ['circuit.r1cs', 'description.json', 'known-answer.wires'];

const text = (name) => getAsset(name, 'utf8');

export const description = JSON.parse(text('description.json'));
export const sample = JSON.parse(text('sample.json'));
export const protocol = JSON.parse(text('protocol.json'));

/** The circuit's inputs, instructions and sizes. */
export const program = JSON.parse(text('program.json'));

/** Writes what a bundle is built from. */
export function copyExport(dir) {
  if (!dir) throw new Error('--out names no directory');
  mkdirSync(dir, { recursive: true });
  for (const name of exported) writeFileSync(join(dir, name), Buffer.from(getAsset(name)));
}
