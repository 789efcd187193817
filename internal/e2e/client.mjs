// Sends one reading with the JavaScript client and waits for its settlement.
// usage: node client.mjs SEQUENCER_URL SECRET_HEX PAYLOAD_HEX
import { Client, newSigner } from '../../client/js/index.js';

const [url, secret, payload] = process.argv.slice(2);
const client = new Client(url);
const signer = newSigner('eddsa-bn254', secret);
const deployment = await client.deployment();
const { payload_limit } = await client.project(1);
const nonce = await client.nextNonce(signer.deviceId, 1);
const message = signer.sign(deployment, payload_limit, { project: 1, nonce, time: Date.now(), payload });
const { id } = await client.send(message);
const again = await client.send(message);
const { state } = await client.follow(id);
console.log(JSON.stringify({ id, duplicate: again.duplicate, state }));
