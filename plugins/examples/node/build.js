// Builds dist/first: Node itself with the plugin inside, one executable, since a
// host starts a plugin with no interpreter or file to be found beside it.
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { inject } from 'postject';
import protobuf from 'protobufjs';

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(here, 'dist');
const at = (name) => join(out, name);

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });

// What the circuit is, from Go.
execFileSync('go', ['build', '-o', at('circuit'), './circuit'], { cwd: here, stdio: 'inherit' });
execFileSync(at('circuit'), ['export', '--out', out]);
writeFileSync(at('program.json'), execFileSync(at('circuit'), ['program'], { maxBuffer: 1 << 30 }));
writeFileSync(at('sample.json'), execFileSync(at('circuit'), ['sample']));

// The protocol, and the one call of go-plugin's own that a host makes.
const root = new protobuf.Root();
for (const text of [
  readFileSync(join(here, '../../proto/plugin.proto'), 'utf8'),
  'syntax = "proto3"; package plugin; message Empty {} service GRPCController { rpc Shutdown(Empty) returns (Empty); }',
]) protobuf.parse(text, root, { keepCase: true });
writeFileSync(at('protocol.json'), JSON.stringify(root.toJSON()));

await build({
  entryPoints: [join(here, 'src/main.js')], outfile: at('first.cjs'), bundle: true, platform: 'node', format: 'cjs',
  target: 'node20', nodePaths: [join(here, 'node_modules')], logLevel: 'warning',
});
const assets = ['circuit.r1cs', 'description.json', 'known-answer.wires', 'program.json', 'sample.json', 'protocol.json'];
writeFileSync(at('sea.json'), JSON.stringify({
  main: at('first.cjs'), output: at('first.blob'), disableExperimentalSEAWarning: true,
  assets: Object.fromEntries(assets.map((name) => [name, at(name)])),
}));
execFileSync(process.execPath, ['--experimental-sea-config', at('sea.json')], { stdio: ['ignore', 'ignore', 'inherit'] });

copyFileSync(process.execPath, at('first'));
chmodSync(at('first'), 0o755);
await inject(at('first'), 'NODE_SEA_BLOB', readFileSync(at('first.blob')), {
  sentinelFuse: 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2',
});
