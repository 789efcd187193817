// How the host starts a plugin: environment and file descriptors in, one line on
// standard output, then gRPC over TLS on a Unix socket. docs/plugin-protocol.md
// has all of it.
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';
import { description, program as raw, protocol } from './assets.js';
import { newCertificate } from './certificate.js';
import { writeSolution } from './solution.js';
import { load, solve, Unsatisfied } from './solver.js';
import { assign, BadTask } from './task.js';

const FD_SOLUTION = 4;
const FD_CIRCUIT = 5;
const MAX_MESSAGE = 64 << 20;

/** Answers the host until it is gone. */
export async function serve() {
  if (process.env.GRISTMILL_PLUGIN !== 'circuit') {
    throw new Error('serve is for a gristmill worker, which passes the files it needs; try export');
  }
  // The host's end of standard input closes when it dies, however that happens.
  process.stdin.on('end', () => process.exit(1)).on('error', () => process.exit(1)).resume();

  const definition = grpc.loadPackageDefinition(fromJSON(protocol, { keepCase: true, longs: String, defaults: true, oneofs: true }));
  const server = new grpc.Server({
    'grpc.max_receive_message_length': MAX_MESSAGE, 'grpc.max_send_message_length': MAX_MESSAGE,
  });
  server.addService(definition.gristmill.plugin.v1.Circuit.service, circuitService());
  server.addService(definition.plugin.GRPCController.service, {
    Shutdown(_call, answer) { answer(null, {}); setImmediate(() => process.exit(0)); },
  });

  const { certificate, key, der } = newCertificate();
  const host = process.env.PLUGIN_CLIENT_CERT;
  if (!host) throw new Error('PLUGIN_CLIENT_CERT is not set: the host does not want TLS');
  const credentials = grpc.ServerCredentials.createSsl(
    Buffer.from(host), [{ private_key: Buffer.from(key), cert_chain: Buffer.from(certificate) }], true,
  );
  const socket = join(process.env.PLUGIN_UNIX_SOCKET_DIR || tmpdir(), `plugin${randomBytes(4).toString('hex')}`);
  await new Promise((resolve, reject) => {
    server.bindAsync(`unix:${socket}`, credentials, (err) => (err ? reject(err) : resolve()));
  });
  process.stdout.write(`1|1|unix|${socket}|grpc|${der.toString('base64').replace(/=+$/, '')}\n`);
}

function circuitService() {
  const program = load(raw);
  const circuitDigest = createHash('sha256').update(readFileSync(FD_CIRCUIT)).digest();
  let drained = false;
  return {
    Describe(_call, answer) { answer(null, { ...description, circuit_sha256: circuitDigest }); },
    Drain(_call, answer) { drained = true; answer(null, {}); },
    Solve(call) {
      const fail = (code, details) => call.emit('error', { code, details });
      call.once('data', ({ task }) => {
        if (drained) return fail(grpc.status.UNAVAILABLE, 'the plugin is draining');
        if (!task) return fail(grpc.status.INTERNAL, 'the call begins with no task');
        try {
          call.write({ progress: { stage: 'solve' } });
          call.write({ solved: solveTask(program, task) });
          call.end();
        } catch (err) {
          fail(codeOf(err), err.message);
        }
      });
    },
  };
}

function codeOf(err) {
  if (err instanceof BadTask) return grpc.status.INVALID_ARGUMENT;
  if (err instanceof Unsatisfied) return grpc.status.FAILED_PRECONDITION;
  return grpc.status.INTERNAL;
}

function solveTask(program, task) {
  const { inputs, outputs } = assign(task, description.payload_limit);
  const start = performance.now();
  const solution = solve(program, inputs);
  const took = performance.now() - start;
  writeSolution(FD_SOLUTION, solution, { publicWires: program.public, task: task.task_id, ticket: task.ticket });
  return { outputs: outputs.map(word), solve_ms: took };
}

// 32 bytes, big-endian.
function word(x) {
  return Buffer.from(x.toString(16).padStart(64, '0'), 'hex');
}
