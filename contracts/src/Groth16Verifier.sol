// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {VerifyingKeys} from "./VerifyingKeys.sol";
import {SCALAR_MODULUS} from "./Types.sol";

/// @title One Groth16 verifier for every circuit
/// @notice Checks e(A, B) = e(alpha, beta) · e(L, gamma) · e(C, delta) over BN254 with L = K[0] + Σ input·K, by the
/// precompiles 6, 7 and 8. The key is read from its contract by one extcodecopy and was checked when it was registered.
/// Cost: about 181,000 gas for the pairing and 6,500 per input.
contract Groth16Verifier {
    error UnknownKey(bytes32 vkId);
    error WrongInputCount(uint256 got, uint256 expected);
    error InputNotInField(uint256 index, uint256 input);

    uint256 private constant BASE_MODULUS =
        21888242871839275222246405745257275088696311157297823662689037894645226208583;
    /// @dev Zero byte, magic, input count and commitment count, as they stand in the key's contract.
    uint256 private constant CODE_HEAD = 8;
    /// @dev Bytes from alpha to K.
    uint256 private constant POINTS = 448;
    /// @dev Well above the pairing's price. A precompile that refuses its input keeps all it was given: this bounds the loss.
    uint256 private constant PAIRING_GAS = 1_000_000;

    VerifyingKeys public immutable keys;

    constructor(VerifyingKeys keys_) {
        keys = keys_;
    }

    /// @notice Whether the proof holds for these public inputs under this key.
    /// @param proof A.x A.y B.x1 B.x0 B.y1 B.y0 C.x C.y, as gnark's MarshalSolidity; malformed points make it false
    /// @param inputs all below r, as many as the key has
    function verify(bytes32 vkId, uint256[8] calldata proof, uint256[] calldata inputs) external view returns (bool) {
        address store = keys.codeOf(vkId);
        if (store == address(0)) revert UnknownKey(vkId);
        uint256 key = _load(store);
        uint256 count = (store.code.length - CODE_HEAD - POINTS) / 64 - 1;
        if (inputs.length != count) revert WrongInputCount(inputs.length, count);
        for (uint256 i = 0; i < count; ++i) {
            if (inputs[i] >= SCALAR_MODULUS) revert InputNotInField(i, inputs[i]);
        }
        if (proof[1] >= BASE_MODULUS) return false;
        return _pair(key, proof, inputs);
    }

    /// @dev Copies the key's points to fresh memory.
    /// @return key where alpha stands
    function _load(address store) private view returns (uint256 key) {
        assembly ("memory-safe") {
            let size := sub(extcodesize(store), CODE_HEAD)
            key := mload(0x40)
            extcodecopy(store, key, CODE_HEAD, size)
            mstore(0x40, add(key, size))
        }
    }

    /// @dev e(-A, B) · e(alpha, beta) · e(L, gamma) · e(C, delta) = 1. Memory at the free pointer is scratch: nothing
    /// is allocated after it.
    function _pair(uint256 key, uint256[8] calldata proof, uint256[] calldata inputs) private view returns (bool ok) {
        assembly ("memory-safe") {
            let in := mload(0x40)
            // L is accumulated at in + 384, where the pairing wants it; scratch for the precompiles lies beyond the 768 bytes.
            let sum := add(in, 384)
            let tmp := add(in, 768)
            let k := add(key, POINTS)
            ok := 1
            mcopy(tmp, k, 64)
            for { let i := 0 } lt(i, inputs.length) { i := add(i, 1) } {
                // tmp: sum so far; tmp + 64: input · K[i + 1]
                mcopy(add(tmp, 64), add(k, shl(6, add(i, 1))), 64)
                mstore(add(tmp, 128), calldataload(add(inputs.offset, shl(5, i))))
                ok := and(ok, staticcall(gas(), 7, add(tmp, 64), 96, add(tmp, 64), 64))
                ok := and(ok, staticcall(gas(), 6, tmp, 128, tmp, 64))
            }
            mcopy(sum, tmp, 64)
            mcopy(add(sum, 64), add(key, 192), 128) // gamma

            calldatacopy(in, proof, 192) // A, B
            let y := mload(add(in, 32))
            mstore(add(in, 32), mod(sub(BASE_MODULUS, y), BASE_MODULUS))
            mcopy(add(in, 192), key, 192) // alpha, beta
            calldatacopy(add(in, 576), add(proof, 192), 64) // C
            mcopy(add(in, 640), add(key, 320), 128) // delta
            ok := and(ok, staticcall(PAIRING_GAS, 8, in, 768, 0, 32))
            ok := and(ok, mload(0))
        }
    }
}
