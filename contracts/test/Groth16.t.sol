// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Groth16Verifier} from "../src/Groth16Verifier.sol";
import {VerifyingKeys} from "../src/VerifyingKeys.sol";
import {SCALAR_MODULUS} from "../src/Types.sol";
import {Deployed} from "./Deployed.sol";
import {vm} from "./Vm.sol";
import {GnarkVerifier} from "./fixtures/GnarkVerifier.sol";

/// @dev Registration of keys and the verifier, beside gnark's own exported verifier of the same key.
contract Groth16Test is Deployed {
    uint256 private constant BASE_MODULUS =
        21888242871839275222246405745257275088696311157297823662689037894645226208583;
    uint256 private constant ALPHA = 7;
    uint256 private constant BETA = 71;
    uint256 private constant GAMMA = 199;
    uint256 private constant DELTA = 327;
    uint256 private constant K = 455;

    GnarkVerifier private gnark = new GnarkVerifier();

    // ---- verifying

    function test_acceptsEveryFixture() public view {
        for (uint256 i = 0; i < proven.length; ++i) {
            yes(verifier.verify(vkId, proven[i].proof, _inputs(i)), "ours");
            yes(_gnark(proven[i].proof, _inputs(i)), "gnark's");
        }
    }

    function test_refusesEveryOtherPairing() public view {
        for (uint256 i = 0; i < proven.length; ++i) {
            for (uint256 j = 0; j < proven.length; ++j) {
                if (i != j) no(verifier.verify(vkId, proven[i].proof, _inputs(j)), "mixed");
            }
        }
    }

    function testFuzz_agreesWithGnarkOnDamagedProofs(uint8 which, uint8 word, uint256 damage, uint8 kind) public view {
        uint256 i = which % proven.length;
        uint256[] memory proof = proven[i].proof;
        uint256[] memory inputs = _inputs(i);
        if (kind % 4 == 0) proof[word % 8] = damage;
        if (kind % 4 == 1) proof[word % 8] ^= 1 << (damage % 256);
        if (kind % 4 == 2) inputs[word % inputs.length] = damage % SCALAR_MODULUS;
        if (kind % 4 == 3) proof[word % 8] = addmod(proof[word % 8], damage, BASE_MODULUS);
        yes(verifier.verify(vkId, proof, inputs) == _gnark(proof, inputs), "differ");
    }

    function test_refusesNonCanonicalCoordinates() public view {
        for (uint256 word = 0; word < 8; ++word) {
            uint256[] memory proof = proven[0].proof;
            unchecked {
                proof[word] += BASE_MODULUS;
            }
            no(verifier.verify(vkId, proof, _inputs(0)), "not reduced");
        }
    }

    function test_refusesProofsWithPointsAtInfinity() public view {
        uint256[] memory proof = proven[0].proof;
        (proof[0], proof[1]) = (0, 0);
        no(verifier.verify(vkId, proof, _inputs(0)), "A");
        proof = proven[0].proof;
        (proof[6], proof[7]) = (0, 0);
        no(verifier.verify(vkId, proof, _inputs(0)), "C");
        proof = proven[0].proof;
        (proof[2], proof[3], proof[4], proof[5]) = (0, 0, 0, 0);
        no(verifier.verify(vkId, proof, _inputs(0)), "B");
    }

    function test_revertsOnInputsAtOrAboveTheModulus() public {
        for (uint256 i = 0; i < 6; ++i) {
            uint256[] memory inputs = _inputs(0);
            inputs[i] += SCALAR_MODULUS;
            vm.expectRevert(abi.encodeWithSelector(Groth16Verifier.InputNotInField.selector, i, inputs[i]));
            verifier.verify(vkId, proven[0].proof, inputs);
            inputs[i] = SCALAR_MODULUS;
            vm.expectRevert(abi.encodeWithSelector(Groth16Verifier.InputNotInField.selector, i, SCALAR_MODULUS));
            verifier.verify(vkId, proven[0].proof, inputs);
        }
    }

    function test_revertsOnAnotherNumberOfInputs() public {
        for (uint256 n = 0; n < 9; ++n) {
            if (n == 6) continue;
            vm.expectRevert(abi.encodeWithSelector(Groth16Verifier.WrongInputCount.selector, n, 6));
            verifier.verify(vkId, proven[0].proof, new uint256[](n));
        }
    }

    function test_revertsOnUnknownKey() public {
        vm.expectRevert(abi.encodeWithSelector(Groth16Verifier.UnknownKey.selector, bytes32(0)));
        verifier.verify(bytes32(0), proven[0].proof, _inputs(0));
    }

    // ---- registering

    function test_keepsTheBytesBehindAZeroByte() public {
        eq(keys.read(vkId), key, "read");
        eq(vkId, keccak256(key), "id");
        eq(keys.inputsOf(vkId), 6, "inputs");
        address store = keys.codeOf(vkId);
        eq(store.code, bytes.concat(hex"00", key), "code");
        // Called, it halts at once and does nothing.
        (bool ok, bytes memory answer) = store.call(hex"01020304");
        yes(ok && answer.length == 0, "halts");
    }

    function test_registeringAgainChangesNothing() public {
        address before = keys.codeOf(vkId);
        vm.prank(OUTSIDER);
        eq(keys.register(key), vkId, "id");
        eq(keys.codeOf(vkId), before, "store");
    }

    function test_theLargestKeyFits() public {
        bytes memory large = _resize(302);
        bytes32 id = keys.register(large);
        eq(keys.inputsOf(id), 302, "inputs");
        yes(keys.codeOf(id).code.length <= 24_576, "size");
        _refused(_resize(303), abi.encodeWithSelector(VerifyingKeys.BadInputCount.selector, 303, 2, 302));
    }

    function test_refusesWrongShape() public {
        _refused("", abi.encodeWithSelector(VerifyingKeys.BadLength.selector, 0, 7));
        _refused(
            bytes.concat(key, hex"00"),
            abi.encodeWithSelector(VerifyingKeys.BadLength.selector, key.length + 1, key.length)
        );
        bytes memory cut = new bytes(key.length - 64);
        for (uint256 i = 0; i < cut.length; ++i) {
            cut[i] = key[i];
        }
        _refused(cut, abi.encodeWithSelector(VerifyingKeys.BadLength.selector, cut.length, key.length));

        bytes memory bad = _copy();
        bad[3] = "2";
        _refused(bad, abi.encodeWithSelector(VerifyingKeys.BadMagic.selector));
        bad = _copy();
        bad[6] = 0x02;
        _refused(bad, abi.encodeWithSelector(VerifyingKeys.UnsupportedCommitments.selector, 2));
        _refused(_resize(1), abi.encodeWithSelector(VerifyingKeys.BadInputCount.selector, 1, 2, 302));
    }

    function test_refusesPointsOffTheirCurve() public {
        uint256[5] memory offsets = [ALPHA, BETA, GAMMA, DELTA, K + 64];
        for (uint256 i = 0; i < offsets.length; ++i) {
            bytes memory bad = _copy();
            bad[offsets[i] + 31] ^= 0x01;
            _refused(bad, abi.encodeWithSelector(VerifyingKeys.PointOffCurve.selector, offsets[i]));
            // A coordinate at or above the modulus.
            bad = _copy();
            for (uint256 j = 0; j < 32; ++j) {
                bad[offsets[i] + j] = 0xff;
            }
            _refused(bad, abi.encodeWithSelector(VerifyingKeys.PointOffCurve.selector, offsets[i]));
        }
        bytes memory constantOne = _copy();
        constantOne[K] ^= 0x01;
        _refused(constantOne, abi.encodeWithSelector(VerifyingKeys.PointOffCurve.selector, K));
    }

    /// @dev On the twist, but not in the subgroup of order r: the twist has a large cofactor.
    function test_refusesPointsOutsideTheSubgroup() public {
        bytes memory outside = abi.encodePacked(_twistPoint());
        uint256[3] memory offsets = [BETA, GAMMA, DELTA];
        for (uint256 i = 0; i < offsets.length; ++i) {
            bytes memory bad = _copy();
            for (uint256 j = 0; j < 128; ++j) {
                bad[offsets[i] + j] = outside[j];
            }
            _refused(bad, abi.encodeWithSelector(VerifyingKeys.PointOffCurve.selector, offsets[i]));
        }
    }

    function test_refusesPointsAtInfinity() public {
        _refused(_zeroed(ALPHA, 64), abi.encodeWithSelector(VerifyingKeys.PointAtInfinity.selector, ALPHA));
        _refused(_zeroed(BETA, 128), abi.encodeWithSelector(VerifyingKeys.PointAtInfinity.selector, BETA));
        _refused(_zeroed(GAMMA, 128), abi.encodeWithSelector(VerifyingKeys.PointAtInfinity.selector, GAMMA));
        _refused(_zeroed(DELTA, 128), abi.encodeWithSelector(VerifyingKeys.PointAtInfinity.selector, DELTA));
        for (uint256 i = 1; i <= 6; ++i) {
            _refused(
                _zeroed(K + 64 * i, 64), abi.encodeWithSelector(VerifyingKeys.PointAtInfinity.selector, K + 64 * i)
            );
        }
        // The constant's K may be anything on the curve.
        keys.register(_zeroed(K, 64));
    }

    /// @dev With delta = gamma, A = alpha, B = beta, C = -L proves anything.
    function test_refusesDeltaEqualToGamma() public {
        bytes memory bad = _copy();
        for (uint256 j = 0; j < 128; ++j) {
            bad[DELTA + j] = bad[GAMMA + j];
        }
        _refused(bad, abi.encodeWithSelector(VerifyingKeys.DeltaEqualsGamma.selector));
    }

    /// @dev With delta = -gamma it is C = L that proves anything.
    function test_refusesDeltaEqualToGammasNegative() public {
        bytes memory bad = _copy();
        for (uint256 j = 0; j < 64; ++j) {
            bad[DELTA + j] = bad[GAMMA + j];
        }
        for (uint256 j = 64; j < 128; j += 32) {
            uint256 y = uint256(_slice(bad, GAMMA + j));
            uint256 negative = (BASE_MODULUS - y) % BASE_MODULUS;
            assembly ("memory-safe") {
                mstore(add(add(bad, 32), add(DELTA, j)), negative)
            }
        }
        // The point is a good one by itself: only its being gamma's negative is wrong.
        (bool ok,) = address(8)
            .staticcall(
                abi.encodePacked(uint256(1), uint256(2), _part(bad, GAMMA), uint256(1), uint256(2), _part(bad, DELTA))
            );
        yes(ok, "on the curve");
        _refused(bad, abi.encodeWithSelector(VerifyingKeys.DeltaEqualsGamma.selector));
    }

    // ---- helpers

    function _inputs(uint256 i) private view returns (uint256[] memory inputs) {
        inputs = new uint256[](6);
        (inputs[0], inputs[1]) = (proven[i].binding, proven[i].dataCommitment);
        for (uint256 j = 0; j < 4; ++j) {
            inputs[2 + j] = proven[i].outputs[j];
        }
    }

    function _gnark(uint256[] memory proof, uint256[] memory inputs) private view returns (bool) {
        uint256[6] memory six;
        for (uint256 i = 0; i < 6; ++i) {
            six[i] = inputs[i];
        }
        try gnark.verifyProof(abi.encodePacked(proof), six) {
            return true;
        } catch {
            return false;
        }
    }

    function _refused(bytes memory bad, bytes memory reason) private {
        vm.expectRevert(reason);
        keys.register(bad);
    }

    function _part(bytes memory from, uint256 offset) private pure returns (bytes memory out) {
        out = new bytes(128);
        for (uint256 i = 0; i < 128; ++i) {
            out[i] = from[offset + i];
        }
    }

    function _copy() private view returns (bytes memory) {
        return bytes.concat(key);
    }

    function _zeroed(uint256 offset, uint256 length) private view returns (bytes memory bad) {
        bad = _copy();
        for (uint256 i = 0; i < length; ++i) {
            bad[offset + i] = 0;
        }
    }

    /// @dev The key's points with another number of inputs, K[1] repeated.
    function _resize(uint16 inputs) private view returns (bytes memory out) {
        out = new bytes(K + 64 * (uint256(inputs) + 1));
        for (uint256 i = 0; i < out.length; ++i) {
            out[i] = i < K + 64 ? key[i] : key[K + 64 + (i - K) % 64];
        }
        out[4] = bytes1(uint8(inputs >> 8));
        out[5] = bytes1(uint8(inputs));
    }

    /// @dev Found offline: a point of the twist y² = x³ + 3/(9 + i) that r does not take to zero.
    function _twistPoint() private view returns (uint256[4] memory) {
        string memory json = vm.readFile("test/fixtures/groth16.json");
        bytes32[] memory words = vm.parseJsonBytes32Array(json, ".outsideSubgroup");
        return [uint256(words[0]), uint256(words[1]), uint256(words[2]), uint256(words[3])];
    }
}
