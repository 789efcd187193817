// Messages: encoding, digest and id.
import { ascii, beBytes, bigOf, concatBytes, keccak256, sha256, toBytes, toHex, toUint } from './bytes.js';
import { deploymentId, domainSeparator } from './deployment.js';
import { chunks, mod, p2 } from './poseidon2.js';

/** The largest payload, and the largest limit a project may set. */
export const MAX_PAYLOAD = 65536;

/** Number, key length and signature length of each scheme. */
export const SCHEMES = Object.freeze({
  'eddsa-bn254': { number: 1, keyLength: 32, signatureLength: 64 },
  secp256k1: { number: 2, keyLength: 20, signatureLength: 65 },
  p256: { number: 3, keyLength: 33, signatureLength: 64 },
  ed25519: { number: 4, keyLength: 32, signatureLength: 64 },
});

const MESSAGE_TYPE = 'Message(uint64 project,uint64 nonce,uint64 time,bytes payload)';
const TAG_MESSAGE = mod(bigOf(keccak256(ascii('gristmill message v1'))));

/** The facts of a scheme, or an error that names it. */
export function schemeOf(name) {
  const scheme = Object.hasOwn(SCHEMES, name) ? SCHEMES[name] : undefined;
  if (!scheme) throw new RangeError(`no scheme is called ${name}`);
  return scheme;
}

/** A message's fields with numbers as BigInt and bytes as Uint8Array. */
export function parseFields({ project, nonce, time, payload = new Uint8Array() }) {
  const fields = {
    project: toUint(project, 64, 'project'),
    nonce: toUint(nonce, 64, 'nonce'),
    time: toUint(time, 64, 'time'),
    payload: toBytes(payload, undefined, 'payload'),
  };
  if (fields.payload.length > MAX_PAYLOAD) throw new RangeError(`payload has more than ${MAX_PAYLOAD} bytes`);
  return fields;
}

/** The encoding up to and including the payload. */
export function unsignedEncoding(message) {
  const { number, keyLength } = schemeOf(message.scheme);
  const key = toBytes(message.key, keyLength, 'key');
  const { project, nonce, time, payload } = parseFields(message);
  return concatBytes(
    Uint8Array.of(1, number, keyLength), key,
    beBytes(project, 8), beBytes(nonce, 8), beBytes(time, 8), beBytes(payload.length, 4), payload,
  );
}

/** The full encoding. */
export function encodeMessage(message) {
  const { signatureLength } = schemeOf(message.scheme);
  const signature = toBytes(message.signature, signatureLength, 'signature');
  return concatBytes(unsignedEncoding(message), Uint8Array.of(signatureLength), signature);
}

/** The message's id: SHA-256 of the full encoding, as 0x hex. */
export const messageId = (message) => toHex(sha256(encodeMessage(message)));

/** The device's id as a field element. keyElements are [x, y] for eddsa-bn254. */
export function deviceIdOf(scheme, key, keyElements) {
  const { number, keyLength } = schemeOf(scheme);
  return p2(BigInt(number), ...(keyElements ?? chunks(toBytes(key, keyLength, 'key'))));
}

/** The digest of a message, a field element: what a circuit sees of it. */
export function messageDigest(deployment, payloadLimit, device, message) {
  const { project, nonce, time, payload } = parseFields(message);
  checkLimit(payload, payloadLimit);
  const padded = new Uint8Array(payloadLimit);
  padded.set(payload);
  return p2(
    TAG_MESSAGE, deploymentId(deployment), project, device,
    nonce, time, BigInt(payload.length), p2(...chunks(padded)),
  );
}

function checkLimit(payload, limit) {
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_PAYLOAD) {
    throw new RangeError(`payload limit is ${limit}, allowed are 1 to ${MAX_PAYLOAD} bytes`);
  }
  if (payload.length > limit) throw new RangeError(`payload has ${payload.length} bytes, the project allows ${limit}`);
}

/** The 32 bytes that the device's scheme signs. */
export function signingHash(deployment, payloadLimit, device, message) {
  const { project, nonce, time, payload } = parseFields(message);
  checkLimit(payload, payloadLimit);
  if (message.scheme === 'eddsa-bn254') return beBytes(messageDigest(deployment, payloadLimit, device, message), 32);
  if (message.scheme !== 'secp256k1') {
    return sha256(ascii('gristmill message v1'), beBytes(deploymentId(deployment), 32), unsignedEncoding(message));
  }
  const struct = keccak256(
    keccak256(ascii(MESSAGE_TYPE)), beBytes(project, 32), beBytes(nonce, 32), beBytes(time, 32), keccak256(payload),
  );
  return keccak256(Uint8Array.of(0x19, 0x01), domainSeparator(deployment), struct);
}

/** The form that POST /v1/messages takes. Numbers go as strings: JSON's end at 2^53 here. */
export function messageToJSON(message) {
  const { project, nonce, time, payload } = parseFields(message);
  return {
    scheme: message.scheme,
    key: toHex(toBytes(message.key)),
    project: project.toString(),
    nonce: nonce.toString(),
    time: time.toString(),
    payload: toHex(payload),
    signature: toHex(toBytes(message.signature)),
  };
}
