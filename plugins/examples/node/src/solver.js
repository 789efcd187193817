// Computes all wires of a circuit from its inputs, by the instructions that its
// constraint system has in this order. Each constraint L·R = O has at most one
// wire that is not known before; hints give wires that no constraint leads to.
import { R, mod } from './field.js';

/** What the messages do not satisfy. */
export class Unsatisfied extends Error {}

const hints = {
  'github.com/consensys/gnark/std/math/bits.nBits': ([value], n) =>
    Array.from({ length: n }, (_, i) => (value >> BigInt(i)) & 1n),
};

/** A program with its coefficients as numbers. */
export function load({ inputs, wires, constraints, instructions, ...rest }) {
  const terms = (list = []) => list.map(([c, wire]) => [mod(BigInt(c)), wire]);
  return {
    inputs, wires, constraints, public: rest.public,
    instructions: instructions.map((step) => {
      if (!step.hint) return { l: terms(step.l), r: terms(step.r), o: terms(step.o) };
      const hint = hints[step.hint];
      if (!hint) throw new Error(`the circuit needs the hint ${step.hint}, which this plugin does not have`);
      return { hint, inputs: step.inputs.map(terms), start: step.start, end: step.end };
    }),
  };
}

/** The solution {w, a, b} for inputs by name. */
export function solve(program, values) {
  const w = new Array(program.wires);
  w[0] = 1n;
  program.inputs.forEach((name, i) => {
    if (values[name] === undefined) throw new Error(`the circuit has an input ${name}, which this plugin does not know`);
    w[1 + i] = mod(values[name]);
  });
  const rows = { a: [], b: [] };
  for (const step of program.instructions) {
    if (step.hint) {
      step.hint(step.inputs.map((l) => sum(l, w)), step.end - step.start).forEach((v, i) => { w[step.start + i] = mod(v); });
    } else {
      constrain(step, w, rows);
    }
  }
  return { w, ...rows };
}

function sum(terms, w) {
  let total = 0n;
  for (const [c, wire] of terms) total += c * w[wire];
  return mod(total);
}

// One side with the unknown wire taken out: {known, wire, c}.
function side(terms, w) {
  let known = 0n;
  let unknown;
  for (const [c, wire] of terms) {
    if (w[wire] !== undefined) known += c * w[wire];
    else if (unknown === undefined) unknown = { wire, c };
    else if (unknown.wire === wire) unknown.c += c;
    else throw new Error('a constraint has two wires that are not known');
  }
  return { known: mod(known), ...unknown };
}

function constrain({ l, r, o }, w, rows) {
  const [left, right, out] = [side(l, w), side(r, w), side(o, w)];
  if (out.wire !== undefined) {
    w[out.wire] = mod((left.known * right.known - out.known) * inverse(out.c));
  } else if (left.wire !== undefined) {
    w[left.wire] = mod((out.known * inverse(right.known) - left.known) * inverse(left.c));
  } else if (right.wire !== undefined) {
    w[right.wire] = mod((out.known * inverse(left.known) - right.known) * inverse(right.c));
  }
  const [a, b, c] = [sum(l, w), sum(r, w), sum(o, w)];
  if (mod(a * b) !== c) throw new Unsatisfied(`constraint ${rows.a.length} is not satisfied`);
  rows.a.push(a);
  rows.b.push(b);
}

// 0 has none; what it would divide is not determined, and the constraint tells.
function inverse(x) {
  let [r0, r1, s0, s1] = [mod(x), R, 1n, 0n];
  while (r1 !== 0n) {
    const q = r0 / r1;
    [r0, r1, s0, s1] = [r1, r0 - q * r1, s1, s0 - q * s1];
  }
  return mod(s0);
}
