// The client against a server on loopback that answers what each test scripts.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { Client, deploymentId, GristmillError, messageId, newSigner, toHex } from '../index.js';
import { beBytes } from '../lib/bytes.js';

const deployment = { chainId: 31337, registry: '0x5fbdb2315678afecb367f032d93f642f64180aa3' };
const signer = newSigner('eddsa-bn254', new Uint8Array(32).fill(7));
const signed = (nonce) => signer.sign(deployment, 32, { project: 1, nonce, time: 1700000000000, payload: '0x0102' });
const quick = { minDelay: 1, maxDelay: 5, pollInterval: 1 };

/** Serves the answers in turn, the last for ever; each is (request, body) => [status, json, headers] or 'cut'. */
async function scripted(t, ...answers) {
  const seen = [];
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (part) => (text += part));
    request.on('end', () => {
      const body = text && JSON.parse(text);
      seen.push({ url: request.url, type: request.headers['content-type'], body });
      const answer = answers[Math.min(seen.length, answers.length) - 1];
      if (answer === 'cut') return request.socket.destroy();
      const [status, json, headers] = typeof answer === 'function' ? answer(request, body) : answer;
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      response.end(typeof json === 'string' ? json : JSON.stringify(json));
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const url = `http://127.0.0.1:${server.address().port}/base`;
  return { seen, client: new Client(url, quick) };
}

const taken = (id, duplicate = false) => [duplicate ? 200 : 202, { id, state: 'pending', duplicate }];
const overloaded = [429, { code: 'overloaded', detail: 'later' }, { 'retry-after': '0' }];

test('sends the same bytes again until they are taken', async (t) => {
  const message = signed(1);
  const id = messageId(message);
  const { client, seen } = await scripted(t, overloaded, 'cut', [503, 'no JSON'], taken(id, true));
  assert.deepEqual(await client.send(message), { id, state: 'pending', duplicate: true });
  assert.equal(seen.length, 4);
  assert.ok(seen.every((s) => s.url === '/base/v1/messages' && s.type === 'application/json'));
  assert.deepEqual(seen[3].body, seen[0].body);
  assert.equal(seen[0].body.nonce, '1');
});

test('a refusal is an error at once, with its code and field', async (t) => {
  const { client, seen } = await scripted(t, [409, { code: 'stale_nonce', field: 'nonce', detail: 'used' }]);
  await assert.rejects(client.send(signed(1)), (err) => {
    assert.ok(err instanceof GristmillError);
    assert.deepEqual([err.status, err.code, err.field, err.retryable], [409, 'stale_nonce', 'nonce', false]);
    return true;
  });
  assert.equal(seen.length, 1);
});

test('gives up after its attempts', async (t) => {
  const { client, seen } = await scripted(t, overloaded);
  await assert.rejects(client.send(signed(1)), { code: 'overloaded' });
  assert.equal(seen.length, 8);
});

test('an answer for another message is no success', async (t) => {
  const { client } = await scripted(t, taken(messageId(signed(2))));
  await assert.rejects(client.send(signed(1)), /another message/);
});

test('of a batch only what may still be taken goes again', async (t) => {
  const messages = [signed(1), signed(2), signed(3)];
  const ids = messages.map(messageId);
  const { client, seen } = await scripted(
    t,
    [207, { results: [
      { status: 202, id: ids[0], state: 'pending' },
      { status: 429, code: 'overloaded' },
      { status: 401, code: 'bad_signature', field: 'signature', detail: 'no' },
    ] }],
    [202, { results: [{ status: 202, id: ids[1], state: 'pending' }] }],
  );
  const [first, second, third] = await client.sendBatch(messages);
  assert.deepEqual(first, { id: ids[0], state: 'pending', duplicate: false });
  assert.equal(second.id, ids[1]);
  assert.equal(third.error.code, 'bad_signature');
  assert.equal(seen[1].body.length, 1);
});

test('a batch that cannot be sent to the end keeps the outcomes it has', async (t) => {
  const messages = [signed(1), signed(2)];
  const ids = messages.map(messageId);
  const { client } = await scripted(
    t,
    [207, { results: [{ status: 202, id: ids[0], state: 'pending' }, { status: 503, code: 'unavailable' }] }],
    [400, { code: 'malformed' }],
  );
  const [first, second] = await client.sendBatch(messages);
  assert.equal(first.id, ids[0]);
  assert.equal(second.error.code, 'malformed');
});

test('repeats after 408 and not after a success that is no JSON', async (t) => {
  const message = signed(1);
  const slow = await scripted(t, [408, { code: 'request_timeout' }], taken(messageId(message)));
  await slow.client.send(message);
  assert.equal(slow.seen.length, 2);
  const wrong = await scripted(t, [200, '<html>']);
  await assert.rejects(wrong.client.send(message), { name: 'WrongAnswer' });
  assert.equal(wrong.seen.length, 1);
});

test('follows a message to its end', async (t) => {
  const states = ['pending', 'pending', 'batched', 'settled'];
  const { client } = await scripted(t, ...states.map((state) => [200, { id: '0x01', state }]));
  const met = [];
  const view = await client.follow('0x01', { onChange: (v) => met.push(v.state) });
  assert.equal(view.state, 'settled');
  assert.deepEqual(met, ['pending', 'batched', 'settled']);
});

test('following stops when it is told to', async (t) => {
  const { client } = await scripted(t, [200, { state: 'pending' }]);
  const stop = new AbortController();
  const following = client.follow('0x01', { signal: stop.signal, onChange: () => stop.abort() });
  await assert.rejects(following, { name: 'AbortError' });
});

test('checks the deployment and counts nonces', async (t) => {
  const answer = { chain_id: 31337, registry: deployment.registry, deployment_id: toHex(beBytes(deploymentId(deployment), 32)) };
  const { client, seen } = await scripted(
    t,
    [200, answer], [200, { ...answer, chain_id: 1 }],
    [200, { nonce: 0, used: false }], [200, { nonce: 41, used: true }],
  );
  assert.deepEqual(await client.deployment(), deployment);
  await assert.rejects(client.deployment(), /deployment id/);
  assert.equal(await client.nextNonce(signer.deviceId, 1), 1n);
  assert.equal(await client.nextNonce(signer.deviceId, 1), 42n);
  assert.equal(seen[2].url, `/base/v1/devices/${toHex(beBytes(signer.deviceId, 32))}/nonce?project=1`);
});
