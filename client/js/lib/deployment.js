// What names a set of contracts on one chain.
import { ascii, beBytes, bigOf, keccak256, toBytes, toUint } from './bytes.js';
import { mod } from './poseidon2.js';

const DOMAIN_TYPE = 'EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)';

/** A deployment {chainId, registry} as {chainId: BigInt, registry: 20 bytes}. */
export function parseDeployment({ chainId, registry }) {
  return { chainId: toUint(chainId, 64, 'chainId'), registry: toBytes(registry, 20, 'registry') };
}

/** The deployment's id, a field element. */
export function deploymentId(deployment) {
  const { chainId, registry } = parseDeployment(deployment);
  return mod(bigOf(keccak256(beBytes(chainId, 32), registry)));
}

/** The deployment's EIP-712 domain separator. */
export function domainSeparator(deployment) {
  const { chainId, registry } = parseDeployment(deployment);
  return keccak256(
    keccak256(ascii(DOMAIN_TYPE)), keccak256(ascii('gristmill')), keccak256(ascii('1')),
    beBytes(chainId, 32), new Uint8Array(12), registry,
  );
}
