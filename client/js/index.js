export { toHex } from './lib/bytes.js';
export { Client, GristmillError, WrongAnswer } from './lib/client.js';
export { deploymentId, domainSeparator } from './lib/deployment.js';
export {
  deviceIdOf, encodeMessage, MAX_PAYLOAD, messageDigest, messageId, messageToJSON, SCHEMES, signingHash,
} from './lib/message.js';
export { chunks, p2 } from './lib/poseidon2.js';
export { generateSecret, newSigner } from './lib/signer.js';
