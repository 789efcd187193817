// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FIXED_INPUTS, MAX_OUTPUTS} from "./Types.sol";

/// @title Verifying keys as data
/// @notice Anyone registers a Groth16 verifying key over BN254, once; its id is the hash of its bytes. The bytes are kept
/// as the code of a contract of their own, behind a zero byte that makes it halt when called.
///
/// Layout: "GVK1" ‖ inputs u16 ‖ commitments u8 ‖ alpha G1 ‖ beta, gamma, delta G2 ‖ K[0 … inputs] G1, G2 in the EVM's
/// order (imaginary part first). The key of a circuit that uses a gnark commitment (at most one) has another K, of the
/// challenge, and then G, GSigmaNeg G2 ‖ committed u16 ‖ committed × u16, the indices of the public inputs that are hashed
/// into the challenge, ascending from 1.
///
/// A key is refused if any point is off its curve or subgroup, or if it would let proofs pass that bind nothing: a point at
/// infinity, gamma equal to delta or its negative, G equal to GSigmaNeg or its negative.
contract VerifyingKeys {
    error BadLength(uint256 got, uint256 expected);
    error BadMagic();
    error UnsupportedCommitments(uint8 got);
    error BadInputCount(uint256 got, uint256 min, uint256 max);
    error PointAtInfinity(uint256 offset);
    error PointOffCurve(uint256 offset);
    error DeltaEqualsGamma();
    error CommitmentKeyIsTrivial();
    error BadCommittedInput(uint256 position, uint256 index);
    error UnknownKey(bytes32 vkId);
    error StoreFailed();

    event KeyRegistered(bytes32 indexed vkId, address store);

    /// @dev Bytes before alpha.
    uint256 private constant HEAD = 7;
    uint256 private constant G1 = 64;
    uint256 private constant G2 = 128;
    uint256 private constant BETA = HEAD + G1;
    uint256 private constant GAMMA = BETA + G2;
    uint256 private constant DELTA = GAMMA + G2;
    /// @dev Bytes before K.
    uint256 private constant FIXED = DELTA + G2;

    /// @dev Well above the precompiles' prices. One that refuses its input keeps all it was given: this bounds the loss.
    uint256 private constant ADD_GAS = 50_000;
    uint256 private constant PAIRING_GAS = 1_000_000;

    mapping(bytes32 vkId => address) private _at;

    /// @notice Checks and keeps a key. Registering a known key again changes nothing.
    function register(bytes calldata key) external returns (bytes32 vkId) {
        vkId = keccak256(key);
        if (_at[vkId] != address(0)) return vkId;
        _check(key);
        address store = _store(key);
        _at[vkId] = store;
        emit KeyRegistered(vkId, store);
    }

    function exists(bytes32 vkId) external view returns (bool) {
        return _at[vkId] != address(0);
    }

    /// @notice The contract whose code is a zero byte and the key; zero if unknown.
    function codeOf(bytes32 vkId) external view returns (address) {
        return _at[vkId];
    }

    /// @notice Public inputs of a key, the constant one not counted.
    function inputsOf(bytes32 vkId) external view returns (uint256) {
        return uint16(bytes2(_head(vkId) << 32));
    }

    /// @notice Commitments that the circuit of a key uses, 0 or 1.
    function commitmentsOf(bytes32 vkId) external view returns (uint256) {
        return uint8(bytes1(_head(vkId) << 48));
    }

    /// @notice The registered bytes.
    function read(bytes32 vkId) external view returns (bytes memory) {
        return _load(vkId);
    }

    /// @dev Magic and counts.
    function _head(bytes32 vkId) private view returns (bytes32 head) {
        address store = _at[vkId];
        if (store == address(0)) revert UnknownKey(vkId);
        assembly ("memory-safe") {
            extcodecopy(store, 0, 1, HEAD)
            head := mload(0)
        }
    }

    function _load(bytes32 vkId) private view returns (bytes memory key) {
        address store = _at[vkId];
        if (store == address(0)) revert UnknownKey(vkId);
        key = new bytes(store.code.length - 1);
        assembly ("memory-safe") {
            extcodecopy(store, add(key, 32), 1, mload(key))
        }
    }

    function _check(bytes calldata key) private view {
        if (key.length < HEAD) revert BadLength(key.length, HEAD);
        if (bytes4(key[:4]) != "GVK1") revert BadMagic();
        uint256 inputs = uint16(bytes2(key[4:6]));
        uint256 commitments = uint8(key[6]);
        if (commitments > 1) revert UnsupportedCommitments(uint8(commitments));
        if (inputs < FIXED_INPUTS || inputs > FIXED_INPUTS + MAX_OUTPUTS) {
            revert BadInputCount(inputs, FIXED_INPUTS, FIXED_INPUTS + MAX_OUTPUTS);
        }
        // Behind the last K
        uint256 end = FIXED + G1 * (inputs + 1 + commitments);
        uint256 expected = end + (commitments == 0 ? 0 : _commitmentLength(key, end));
        if (key.length != expected) revert BadLength(key.length, expected);

        _checkG1(key, HEAD, false);
        _checkG2(key, BETA);
        _checkG2(key, GAMMA);
        _checkG2(key, DELTA);
        // On the curve the same x means the same point or its negative. Either way C could make up for any input.
        if (keccak256(key[GAMMA:GAMMA + G2 / 2]) == keccak256(key[DELTA:DELTA + G2 / 2])) revert DeltaEqualsGamma();
        // K[0] belongs to the constant one and may be anything. Any other K at infinity is an input that no proof binds.
        for (uint256 i = 0; i <= inputs + commitments; ++i) {
            _checkG1(key, FIXED + G1 * i, i == 0);
        }
        if (commitments != 0) _checkCommitment(key, end, inputs);
    }

    /// @dev Length of what stands behind the last K; a key that ends before its number of committed inputs has too few bytes
    /// whatever that is.
    function _commitmentLength(bytes calldata key, uint256 from) private pure returns (uint256) {
        uint256 counted = from + 2 * G2;
        if (key.length < counted + 2) return 2 * G2 + 2;
        return 2 * G2 + 2 + 2 * uint256(uint16(bytes2(key[counted:counted + 2])));
    }

    /// @dev G, GSigmaNeg and the committed inputs. GSigmaNeg = -sigma·G shows that a commitment's values are known; with G or
    /// its negative there sigma is no secret, and anyone could add to L what he likes.
    function _checkCommitment(bytes calldata key, uint256 from, uint256 inputs) private view {
        _checkG2(key, from);
        _checkG2(key, from + G2);
        if (keccak256(key[from:from + G2 / 2]) == keccak256(key[from + G2:from + G2 + G2 / 2])) {
            revert CommitmentKeyIsTrivial();
        }
        uint256 previous = 0;
        uint256 first = from + 2 * G2 + 2;
        for (uint256 i = first; i < key.length; i += 2) {
            uint256 index = uint16(bytes2(key[i:i + 2]));
            if (index <= previous || index > inputs) revert BadCommittedInput((i - first) / 2, index);
            previous = index;
        }
    }

    /// @dev The addition precompile refuses coordinates at or above the modulus and points off the curve. G1 has cofactor 1.
    function _checkG1(bytes calldata key, uint256 offset, bool mayBeZero) private view {
        bytes calldata point = key[offset:offset + G1];
        if (!mayBeZero && _isZero(point)) revert PointAtInfinity(offset);
        (bool ok,) = address(6).staticcall{gas: ADD_GAS}(abi.encodePacked(point, bytes32(0), bytes32(0)));
        if (!ok) revert PointOffCurve(offset);
    }

    /// @dev The pairing precompile also refuses points outside the subgroup. It is paired with the generator of G1.
    function _checkG2(bytes calldata key, uint256 offset) private view {
        bytes calldata point = key[offset:offset + G2];
        if (_isZero(point)) revert PointAtInfinity(offset);
        (bool ok,) = address(8).staticcall{gas: PAIRING_GAS}(abi.encodePacked(uint256(1), uint256(2), point));
        if (!ok) revert PointOffCurve(offset);
    }

    function _isZero(bytes calldata point) private pure returns (bool) {
        for (uint256 i = 0; i < point.length; i += 32) {
            if (bytes32(point[i:i + 32]) != 0) return false;
        }
        return true;
    }

    function _store(bytes calldata key) private returns (address store) {
        // PUSH2 size, DUP1, PUSH1 offset, PUSH0, CODECOPY, PUSH0, RETURN, then what it returns
        bytes memory code = abi.encodePacked(hex"61", uint16(key.length + 1), hex"80600a5f395ff300", key);
        assembly ("memory-safe") {
            store := create(0, add(code, 32), mload(code))
        }
        if (store == address(0)) revert StoreFailed();
    }
}
