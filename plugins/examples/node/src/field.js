// BN254's scalar field, as the client library has it.
export { R, mod } from '../../../../client/js/lib/poseidon2.js';
