// Signers of the four schemes. Signing is deterministic everywhere, so a
// message signed twice is the same message.
import { ed25519 } from '@noble/curves/ed25519.js';
import { p256 } from '@noble/curves/nist.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { randomBytes } from '@noble/hashes/utils.js';
import { keyPair } from './babyjubjub.js';
import { beBytes, concatBytes, keccak256, toBytes, toHex } from './bytes.js';
import { deviceIdOf, parseFields, schemeOf, signingHash } from './message.js';

const ecdsa = { prehash: false, lowS: true, extraEntropy: false };

// Each takes a 32-byte secret and gives {key, sign(32 bytes)}.
const makers = {
  'eddsa-bn254': keyPair,
  secp256k1: (secret) => ({
    key: keccak256(secp256k1.getPublicKey(secret, false).subarray(1)).slice(12),
    sign: (hash) => {
      const recovered = secp256k1.sign(hash, secret, { ...ecdsa, format: 'recovered' });
      if (recovered[0] > 1) throw new Error('digest has no signature with v of 27 or 28');
      return concatBytes(recovered.subarray(1), Uint8Array.of(27 + recovered[0]));
    },
  }),
  p256: (secret) => ({
    key: p256.getPublicKey(secret, true),
    sign: (hash) => p256.sign(hash, secret, ecdsa),
  }),
  ed25519: (seed) => ({
    key: ed25519.getPublicKey(seed),
    sign: (hash) => ed25519.sign(hash, seed),
  }),
};

/** A fresh 32-byte secret that the scheme takes. */
export function generateSecret(scheme) {
  for (let i = 0; i < 64; i++) {
    const secret = randomBytes(32);
    try {
      newSigner(scheme, secret);
      return secret;
    } catch (err) {
      schemeOf(scheme);
      if (i === 63) throw err;
    }
  }
}

/**
 * A device's signer from its scheme's 32-byte secret (bytes or 0x hex): the
 * seed of eddsa-bn254 and ed25519, the scalar of the ECDSA schemes.
 * sign(deployment, payloadLimit, {project, nonce, time, payload}) gives the
 * message, ready to send.
 */
export function newSigner(scheme, secret) {
  schemeOf(scheme);
  const pair = makers[scheme](toBytes(secret, 32, 'secret'));
  const device = deviceIdOf(scheme, pair.key, pair.elements);
  return Object.freeze({
    scheme,
    key: pair.key,
    deviceId: device,
    deviceIdHex: toHex(beBytes(device, 32)),
    sign(deployment, payloadLimit, fields) {
      const message = { scheme, key: Uint8Array.from(pair.key), ...parseFields(fields) };
      message.signature = pair.sign(signingHash(deployment, payloadLimit, device, message));
      return message;
    },
  });
}
