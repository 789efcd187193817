// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {VerifyingKeys} from "./VerifyingKeys.sol";
import {SCALAR_MODULUS} from "./Types.sol";

/// @title One Groth16 verifier for every circuit
/// @notice Checks e(A, B) = e(alpha, beta) · e(L, gamma) · e(C, delta) over BN254 with L = K[0] + Σ input·K, by the
/// precompiles 6, 7 and 8. The key is read from its contract by one extcodecopy and was checked when it was registered.
/// Cost: about 181,000 gas for the pairing and 6,500 per input.
///
/// A circuit may use one gnark commitment (BSB22). Its proof has two more points, the commitment D and the proof P that
/// what it commits to is known. Then e(D, GSigmaNeg) · e(P, G) = 1 must hold, too, and L has D and challenge·K[inputs + 1]
/// besides, with challenge = keccak256(D ‖ the committed ones of the inputs) mod r. It costs about 125,000 gas more.
contract Groth16Verifier {
    error UnknownKey(bytes32 vkId);
    error WrongProofLength(uint256 got, uint256 expected);
    error WrongInputCount(uint256 got, uint256 expected);
    error InputNotInField(uint256 index, uint256 input);

    uint256 private constant BASE_MODULUS =
        21888242871839275222246405745257275088696311157297823662689037894645226208583;
    /// @dev Zero byte and magic, as they stand in the key's contract.
    uint256 private constant CODE_HEAD = 5;
    /// @dev Input count and commitment count, before alpha.
    uint256 private constant COUNTS = 3;
    /// @dev Bytes from alpha to K.
    uint256 private constant POINTS = 448;
    /// @dev Well above the pairing's price. A precompile that refuses its input keeps all it was given: this bounds the loss.
    uint256 private constant PAIRING_GAS = 1_000_000;

    VerifyingKeys public immutable keys;

    constructor(VerifyingKeys keys_) {
        keys = keys_;
    }

    /// @notice Whether the proof holds for these public inputs under this key.
    /// @param proof A.x A.y B.x1 B.x0 B.y1 B.y0 C.x C.y and, if the circuit uses a commitment, D.x D.y P.x P.y, as gnark's
    /// MarshalSolidity; malformed points make it false
    /// @param inputs all below r, as many as the key has
    function verify(bytes32 vkId, uint256[] calldata proof, uint256[] calldata inputs) external view returns (bool) {
        address store = keys.codeOf(vkId);
        if (store == address(0)) revert UnknownKey(vkId);
        (uint256 key, uint256 count, bool commits) = _load(store);
        if (proof.length != (commits ? 12 : 8)) revert WrongProofLength(proof.length, commits ? 12 : 8);
        if (inputs.length != count) revert WrongInputCount(inputs.length, count);
        for (uint256 i = 0; i < count; ++i) {
            if (inputs[i] >= SCALAR_MODULUS) revert InputNotInField(i, inputs[i]);
        }
        if (proof[1] >= BASE_MODULUS) return false;
        uint256 challenge;
        if (commits) {
            bool known;
            (known, challenge) = _commitment(key + POINTS + 64 * (count + 2), proof, inputs);
            if (!known) return false;
        }
        return _pair(key, proof, inputs, commits, challenge);
    }

    /// @dev Copies the key's points to fresh memory.
    /// @return key where alpha stands
    /// @return count public inputs
    /// @return commits whether the circuit uses a commitment
    function _load(address store) private view returns (uint256 key, uint256 count, bool commits) {
        assembly ("memory-safe") {
            let size := sub(extcodesize(store), CODE_HEAD)
            let at := mload(0x40)
            extcodecopy(store, at, CODE_HEAD, size)
            mstore(0x40, add(at, size))
            count := shr(240, mload(at))
            commits := byte(2, mload(at))
            key := add(at, COUNTS)
        }
    }

    /// @dev e(D, GSigmaNeg) · e(P, G) = 1, and what D and the committed inputs are hashed to. D at infinity commits to
    /// nothing and is no commitment. Memory at the free pointer is scratch: nothing is allocated after it.
    /// @param g where G stands in the key; GSigmaNeg, the number of committed inputs and their indices follow
    function _commitment(uint256 g, uint256[] calldata proof, uint256[] calldata inputs)
        private
        view
        returns (bool ok, uint256 challenge)
    {
        assembly ("memory-safe") {
            let in := mload(0x40)
            let d := add(proof.offset, 256)
            calldatacopy(in, d, 64)
            ok := iszero(iszero(or(mload(in), mload(add(in, 32)))))
            let committed := shr(240, mload(add(g, 256)))
            let index := add(g, 258)
            let to := add(in, 64)
            for { let end := add(to, shl(5, committed)) } lt(to, end) { to := add(to, 32) } {
                // Indices count from 1: wire 0 is the constant.
                mstore(to, calldataload(add(inputs.offset, shl(5, sub(shr(240, mload(index)), 1)))))
                index := add(index, 2)
            }
            challenge := mod(keccak256(in, sub(to, in)), SCALAR_MODULUS)

            mcopy(add(in, 64), add(g, 128), 128) // GSigmaNeg
            calldatacopy(add(in, 192), add(d, 64), 64) // P
            mcopy(add(in, 256), g, 128) // G
            ok := and(ok, staticcall(PAIRING_GAS, 8, in, 384, 0, 32))
            ok := and(ok, mload(0))
        }
    }

    /// @dev e(-A, B) · e(alpha, beta) · e(L, gamma) · e(C, delta) = 1. Memory at the free pointer is scratch: nothing
    /// is allocated after it.
    function _pair(uint256 key, uint256[] calldata proof, uint256[] calldata inputs, bool commits, uint256 challenge)
        private
        view
        returns (bool ok)
    {
        assembly ("memory-safe") {
            let in := mload(0x40)
            // L is accumulated at in + 384, where the pairing wants it; scratch for the precompiles lies beyond the 768 bytes.
            let sum := add(in, 384)
            let tmp := add(in, 768)
            let k := add(key, POINTS)
            ok := 1
            mcopy(tmp, k, 64)
            // tmp: sum so far; tmp + 64: what is added to it
            for { let i := 0 } lt(i, inputs.length) { i := add(i, 1) } {
                k := add(k, 64)
                mcopy(add(tmp, 64), k, 64)
                mstore(add(tmp, 128), calldataload(add(inputs.offset, shl(5, i))))
                ok := and(ok, staticcall(gas(), 7, add(tmp, 64), 96, add(tmp, 64), 64))
                ok := and(ok, staticcall(gas(), 6, tmp, 128, tmp, 64))
            }
            if commits {
                mcopy(add(tmp, 64), add(k, 64), 64)
                mstore(add(tmp, 128), challenge)
                ok := and(ok, staticcall(gas(), 7, add(tmp, 64), 96, add(tmp, 64), 64))
                ok := and(ok, staticcall(gas(), 6, tmp, 128, tmp, 64))
                calldatacopy(add(tmp, 64), add(proof.offset, 256), 64) // D
                ok := and(ok, staticcall(gas(), 6, tmp, 128, tmp, 64))
            }
            mcopy(sum, tmp, 64)
            mcopy(add(sum, 64), add(key, 192), 128) // gamma

            calldatacopy(in, proof.offset, 192) // A, B
            let y := mload(add(in, 32))
            mstore(add(in, 32), mod(sub(BASE_MODULUS, y), BASE_MODULUS))
            mcopy(add(in, 192), key, 192) // alpha, beta
            calldatacopy(add(in, 576), add(proof.offset, 192), 64) // C
            mcopy(add(in, 640), add(key, 320), 128) // delta
            ok := and(ok, staticcall(PAIRING_GAS, 8, in, 768, 0, 32))
            ok := and(ok, mload(0))
        }
    }
}
