// The golden vectors that Go, circuits and Solidity pass as well.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { beBytes, toBytes } from '../lib/bytes.js';
import {
  deploymentId, domainSeparator, encodeMessage, messageDigest, messageId, newSigner, p2, SCHEMES, signingHash, toHex,
} from '../index.js';

const vectors = (name) => JSON.parse(readFileSync(new URL(`../../../wire/testdata/${name}`, import.meta.url))).cases;
const element = (e) => toHex(beBytes(e, 32));

test('deployment', () => {
  for (const v of vectors('deployment.json')) {
    assert.equal(element(deploymentId(v)), v.deploymentId);
    assert.equal(toHex(domainSeparator(v)), v.domainSeparator);
  }
});

test('poseidon2', () => {
  for (const v of vectors('poseidon2.json')) assert.equal(element(p2(...v.inputs.map(BigInt))), v.hash, v.name);
});

for (const v of vectors('message.json')) {
  test(`message: ${v.scheme}, ${v.name}`, () => {
    const limit = Number(v.payloadLimit);
    const signer = newSigner(v.scheme, v.secret);
    assert.equal(toHex(signer.key), v.key);
    assert.equal(element(signer.deviceId), v.deviceId);
    assert.equal(signer.deviceIdHex, v.deviceId);
    assert.equal(SCHEMES[v.scheme].number, Number(v.schemeNumber));
    const message = signer.sign(v, limit, v);
    assert.equal(element(messageDigest(v, limit, signer.deviceId, message)), v.digest);
    assert.equal(toHex(signingHash(v, limit, signer.deviceId, message)), v.signingHash);
    assert.equal(toHex(message.signature), v.signature);
    assert.equal(toHex(encodeMessage(message)), v.encoding);
    assert.equal(messageId(message), v.id);
  });
}

test('every scheme has vectors', () => {
  const seen = new Set(vectors('message.json').map((v) => v.scheme));
  assert.deepEqual([...seen].sort(), Object.keys(SCHEMES).sort());
});

test('numbers and bytes that do not fit are refused', () => {
  const signer = newSigner('ed25519', new Uint8Array(32));
  const deployment = { chainId: 1, registry: toHex(new Uint8Array(20).fill(1)) };
  const fields = { project: 1, nonce: 1, time: 1, payload: '0x00' };
  const sign = (changes, limit = 1) => () => signer.sign(deployment, limit, { ...fields, ...changes });
  assert.doesNotThrow(sign({}));
  for (const bad of [{ nonce: 2 ** 53 }, { nonce: -1 }, { nonce: 1n << 64n }, { nonce: '1e3' }, { payload: '00' }, { payload: '0x0000' }]) {
    assert.throws(sign(bad), JSON.stringify(bad, (_, x) => String(x)));
  }
  for (const limit of [0, 65537, 1.5, '1']) assert.throws(sign({}, limit));
  assert.throws(() => newSigner('rsa', new Uint8Array(32)));
  assert.throws(() => newSigner('toString', new Uint8Array(32)));
  for (const scheme of ['secp256k1', 'p256']) assert.throws(() => newSigner(scheme, new Uint8Array(32)));
  assert.throws(() => newSigner('ed25519', toBytes('0x00')));
});
