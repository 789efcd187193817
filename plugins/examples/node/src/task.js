// A task's body, as docs/protocol.md has it, checked against what the host says
// of it, and the circuit's inputs that follow.
import {
  deploymentId, deviceIdOf, messageDigest, p2, chunks,
} from '../../../../client/js/index.js';
import { ascii, beBytes, bigOf, keccak256, sha256 } from '../../../../client/js/lib/bytes.js';
import { keyPoint, verify } from './eddsa.js';
import { R, mod } from './field.js';

/** What is wrong with a task itself. */
export class BadTask extends Error {}

const TAG_TASK = mod(bigOf(keccak256(ascii('gristmill task v1'))));
const EDDSA = 1;

class Reader {
  constructor(bytes) { this.rest = bytes; }
  take(n) {
    if (n > this.rest.length) throw new BadTask(`body: ${n} bytes are wanted where ${this.rest.length} are left`);
    const out = this.rest.subarray(0, n);
    this.rest = this.rest.subarray(n);
    return out;
  }
  uint(n) { return bigOf(this.take(n)); }
  small(n) { return Number(this.uint(n)); }
  end(what) { if (this.rest.length) throw new BadTask(`${what}: ${this.rest.length} bytes too many`); }
}

function parseMessage(bytes) {
  const r = new Reader(bytes);
  if (r.small(1) !== 1) throw new BadTask('message: unknown version');
  const [scheme, keyLength] = [r.small(1), r.small(1)];
  if (scheme !== EDDSA || keyLength !== 32) throw new BadTask('message 0: the circuit takes devices that sign with eddsa-bn254');
  const key = r.take(32);
  const [project, nonce, time] = [r.uint(8), r.uint(8), r.uint(8)];
  const payload = r.take(r.small(4));
  const signature = r.take(r.small(1));
  r.end('message');
  if (signature.length !== 64) throw new BadTask('message 0: the signature has not 64 bytes');
  return { scheme: 'eddsa-bn254', key, project, nonce, time, payload, signature };
}

function parseBody(bytes) {
  const r = new Reader(bytes);
  if (r.small(1) !== 1) throw new BadTask('body: unknown version');
  const project = r.uint(8);
  r.take(4); // the project's version
  const count = r.small(4);
  if (count !== 1) throw new BadTask(`body has ${count} messages, the circuit takes 1`);
  const message = parseMessage(r.take(r.small(4)));
  r.end('body');
  if (message.project !== project) throw new BadTask('message 0 is of another project than the body');
  return message;
}

function fixed(bytes, length, name) {
  if (bytes.length !== length) throw new BadTask(`${name} has ${bytes.length} bytes, must have ${length}`);
  return bytes;
}

/** The circuit's inputs by name, and the outputs. Throws BadTask. */
export function assign(task, payloadLimit) {
  const registry = fixed(task.registry, 20, 'registry');
  const deployment = { chainId: BigInt(task.chain_id), registry: Uint8Array.from(registry) };
  const commitment = bigOf(fixed(task.data_commitment, 32, 'data_commitment'));
  if (commitment >= R) throw new BadTask('data_commitment is not below the modulus');
  const m = parseBody(task.body);
  if (m.payload.length > payloadLimit) throw new BadTask(`message 0: payload has ${m.payload.length} bytes, the circuit has room for ${payloadLimit}`);
  if (m.payload.length === 0) throw new BadTask('message 0: the payload is empty');
  let key;
  try {
    key = keyPoint(m.key);
  } catch (err) {
    throw new BadTask(`message 0: device key: ${err.message}`);
  }
  const device = deviceIdOf('eddsa-bn254', m.key, [key.x, key.y]);
  const digest = messageDigest(deployment, payloadLimit, device, m);
  if (!verify(m.key, digest, m.signature)) throw new BadTask('message 0: the signature does not verify');
  const id = deploymentId(deployment);
  if (p2(TAG_TASK, id, m.project, 1n, digest) !== commitment) throw new BadTask('data_commitment is not that of the body');

  const padded = new Uint8Array(payloadLimit);
  padded.set(m.payload);
  const outputs = [BigInt(m.payload[0])];
  return {
    outputs,
    inputs: {
      Binding: binding(id, fixed(task.task_id, 32, 'task_id'), fixed(task.prover, 20, 'prover')),
      DataCommitment: commitment,
      Team_first: outputs[0],
      DeploymentID: id, ProjectID: m.project, Count: 1n,
      Slots_0_Used: 1n, Slots_0_Key_0: key.x, Slots_0_Key_1: key.y,
      Slots_0_Nonce: m.nonce, Slots_0_Time: m.time, Slots_0_PayloadBytes: BigInt(m.payload.length),
      Slots_0_Chunks_0: chunks(padded)[0],
    },
  };
}

/** Ties a proof to one task and to the prover that is paid for it. */
function binding(deployment, task, prover) {
  return mod(bigOf(sha256(beBytes(deployment, 32), Uint8Array.from(task), Uint8Array.from(prover))));
}
