// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Groth16Verifier} from "../src/Groth16Verifier.sol";
import {TaskManager} from "../src/TaskManager.sol";
import {VerifyingKeys} from "../src/VerifyingKeys.sol";
import {Status, SCALAR_MODULUS} from "../src/Types.sol";
import {Deployed} from "./Deployed.sol";
import {vm} from "./Vm.sol";
import {GnarkCommitmentVerifier} from "./fixtures/GnarkCommitmentVerifier.sol";

/// @dev Keys and proofs of a circuit that uses a gnark commitment, beside gnark's own exported verifier of the same key. The
/// circuit commits to its outputs 1 and 3, the inputs 4 and 6, and to private values.
contract Groth16CommitmentTest is Deployed {
    uint256 private constant BASE_MODULUS =
        21888242871839275222246405745257275088696311157297823662689037894645226208583;
    uint256 private constant K = 455;
    uint256 private constant G = K + 64 * 8;
    uint256 private constant SIGMA = G + 128;
    uint256 private constant COMMITTED = SIGMA + 128;

    GnarkCommitmentVerifier private gnark = new GnarkCommitmentVerifier();

    function _fixtures() internal pure override returns (string memory) {
        return "test/fixtures/groth16-commitment.json";
    }

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

    /// @dev Any of the twelve words, any of the inputs: the committed ones are hashed besides.
    function testFuzz_agreesWithGnarkOnDamagedProofs(uint8 which, uint8 word, uint256 damage, uint8 kind) public view {
        uint256 i = which % proven.length;
        uint256[] memory proof = proven[i].proof;
        uint256[] memory inputs = _inputs(i);
        if (kind % 4 == 0) proof[word % 12] = damage;
        if (kind % 4 == 1) proof[word % 12] ^= 1 << (damage % 256);
        if (kind % 4 == 2) inputs[word % inputs.length] = damage % SCALAR_MODULUS;
        if (kind % 4 == 3) proof[word % 12] = addmod(proof[word % 12], damage, BASE_MODULUS);
        yes(verifier.verify(vkId, proof, inputs) == _gnark(proof, inputs), "differ");
    }

    function test_refusesTheCommitmentOfAnotherProof() public view {
        uint256[] memory proof = proven[0].proof;
        for (uint256 word = 8; word < 12; ++word) {
            proof[word] = proven[1].proof[word];
            no(verifier.verify(vkId, proof, _inputs(0)), "a commitment that is known, but not this proof's");
        }
        proof = proven[0].proof;
        (proof[10], proof[11]) = (proven[1].proof[10], proven[1].proof[11]);
        no(verifier.verify(vkId, proof, _inputs(0)), "the knowledge of another commitment");
    }

    function test_refusesNegatedPoints() public view {
        uint256[] memory proof = proven[0].proof;
        proof[11] = BASE_MODULUS - proof[11];
        no(verifier.verify(vkId, proof, _inputs(0)), "knowledge");
        // Both negated are a known commitment, to other values.
        proof[9] = BASE_MODULUS - proof[9];
        no(verifier.verify(vkId, proof, _inputs(0)), "both");
    }

    function test_refusesPointsAtInfinity() public view {
        uint256[] memory proof = proven[0].proof;
        (proof[8], proof[9]) = (0, 0);
        no(verifier.verify(vkId, proof, _inputs(0)), "commitment");
        (proof[10], proof[11]) = (0, 0);
        no(verifier.verify(vkId, proof, _inputs(0)), "both");
        proof = proven[0].proof;
        (proof[10], proof[11]) = (0, 0);
        no(verifier.verify(vkId, proof, _inputs(0)), "knowledge");
    }

    function test_refusesNonCanonicalCoordinates() public view {
        for (uint256 word = 0; word < 12; ++word) {
            uint256[] memory proof = proven[0].proof;
            unchecked {
                proof[word] += BASE_MODULUS;
            }
            no(verifier.verify(vkId, proof, _inputs(0)), "not reduced");
        }
    }

    function test_refusesOtherLengths() public {
        uint256[] memory proof = proven[0].proof;
        uint256[5] memory lengths = [uint256(0), 8, 10, 11, 13];
        for (uint256 i = 0; i < lengths.length; ++i) {
            uint256[] memory other = new uint256[](lengths[i]);
            for (uint256 j = 0; j < other.length && j < proof.length; ++j) {
                other[j] = proof[j];
            }
            vm.expectRevert(abi.encodeWithSelector(Groth16Verifier.WrongProofLength.selector, lengths[i], 12));
            verifier.verify(vkId, other, _inputs(0));
        }
        vm.expectRevert(abi.encodeWithSelector(Groth16Verifier.WrongInputCount.selector, 7, 6));
        verifier.verify(vkId, proof, new uint256[](7));
    }

    /// @dev Under a key without a commitment four more words are no more proof.
    function test_aKeyWithoutACommitmentTakesEightWords() public {
        bytes32 plain = keys.register(vm.parseJsonBytes(vm.readFile("test/fixtures/groth16.json"), ".key"));
        eq(keys.commitmentsOf(plain), 0, "commitments");
        vm.expectRevert(abi.encodeWithSelector(Groth16Verifier.WrongProofLength.selector, 12, 8));
        verifier.verify(plain, proven[0].proof, _inputs(0));
    }

    // ---- settling

    function test_settles() public {
        bytes32 id = _accepted(0);
        uint256[] memory proof = proven[0].proof;
        proof[10] ^= 1;
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(TaskManager.InvalidProof.selector, id));
        tasks.settle(id, proof, proven[0].outputs);

        _settle(0);
        _is(id, Status.Settled);
        eq(dapp.totalsOf(PROJECT).energy, 1000, "the dApp has the outputs");
    }

    /// @dev What a commitment costs: six inputs, the sample dApp called, nothing accessed before but in accepting.
    function test_gas_settleWithACommitment() public {
        bytes32 id = _accepted(0);
        bytes memory data = abi.encodeCall(TaskManager.settle, (id, proven[0].proof, proven[0].outputs));
        vm.prank(ALICE);
        uint256 before = gasleft();
        (bool ok,) = address(tasks).call(data);
        uint256 used = before - gasleft();
        yes(ok, "settles");
        vm.snapshotValue("gas", "settle with a commitment, warm, without calldata", used);
    }

    // ---- registering

    function test_keepsTheKey() public view {
        eq(keys.read(vkId), key, "read");
        eq(keys.inputsOf(vkId), 6, "inputs");
        eq(keys.commitmentsOf(vkId), 1, "commitments");
    }

    function test_refusesWrongShape() public {
        uint256 length = COMMITTED + 2 + 4;
        eq(key.length, length, "length");
        _refused(
            bytes.concat(key, hex"00"), abi.encodeWithSelector(VerifyingKeys.BadLength.selector, length + 1, length)
        );
        _refused(_cut(length - 1), abi.encodeWithSelector(VerifyingKeys.BadLength.selector, length - 1, length));
        // Without the number of committed inputs no length is right.
        _refused(_cut(G), abi.encodeWithSelector(VerifyingKeys.BadLength.selector, G, COMMITTED + 2));
        _refused(
            _cut(COMMITTED + 1), abi.encodeWithSelector(VerifyingKeys.BadLength.selector, COMMITTED + 1, COMMITTED + 2)
        );
        bytes memory bad = _copy();
        bad[6] = 0x00;
        _refused(bad, abi.encodeWithSelector(VerifyingKeys.BadLength.selector, length, G - 64));
        bad[6] = 0x02;
        _refused(bad, abi.encodeWithSelector(VerifyingKeys.UnsupportedCommitments.selector, 2));
        // None committed is fine, and another key.
        bad = _cut(COMMITTED + 2);
        bad[COMMITTED + 1] = 0x00;
        eq(keys.commitmentsOf(keys.register(bad)), 1, "no public input committed");
    }

    function test_refusesBadPoints() public {
        _refused(_zeroed(G - 64, 64), abi.encodeWithSelector(VerifyingKeys.PointAtInfinity.selector, G - 64));
        uint256[2] memory offsets = [G, SIGMA];
        for (uint256 i = 0; i < offsets.length; ++i) {
            uint256 from = offsets[i];
            _refused(_zeroed(from, 128), abi.encodeWithSelector(VerifyingKeys.PointAtInfinity.selector, from));
            bytes memory bad = _copy();
            bad[from + 31] ^= 0x01;
            _refused(bad, abi.encodeWithSelector(VerifyingKeys.PointOffCurve.selector, from));
            bytes memory outside = abi.encodePacked(
                vm.parseJsonBytes32Array(vm.readFile("test/fixtures/groth16-commitment.json"), ".outsideSubgroup")
            );
            _put(bad, from, outside);
            _refused(bad, abi.encodeWithSelector(VerifyingKeys.PointOffCurve.selector, from));
        }
    }

    /// @dev With sigma 1 or -1 whoever commits to anything knows it.
    function test_refusesATrivialSigma() public {
        bytes memory bad = _copy();
        _put(bad, SIGMA, _part(key, G));
        _refused(bad, abi.encodeWithSelector(VerifyingKeys.CommitmentKeyIsTrivial.selector));
        for (uint256 j = 64; j < 128; j += 32) {
            uint256 y;
            uint256 from = 32 + SIGMA + j;
            assembly ("memory-safe") {
                y := mload(add(bad, from))
            }
            _put(bad, SIGMA + j, abi.encode((BASE_MODULUS - y) % BASE_MODULUS));
        }
        _refused(bad, abi.encodeWithSelector(VerifyingKeys.CommitmentKeyIsTrivial.selector));
    }

    function test_refusesBadCommittedInputs() public {
        // 4 and 6 as they are
        eq(uint8(key[COMMITTED + 3]), 4, "first");
        eq(uint8(key[COMMITTED + 5]), 6, "second");
        bytes memory bad = _copy();
        bad[COMMITTED + 3] = 0x00;
        _refused(bad, abi.encodeWithSelector(VerifyingKeys.BadCommittedInput.selector, 0, 0));
        bad[COMMITTED + 3] = 0x06;
        _refused(bad, abi.encodeWithSelector(VerifyingKeys.BadCommittedInput.selector, 1, 6));
        bad = _copy();
        bad[COMMITTED + 5] = 0x07;
        _refused(bad, abi.encodeWithSelector(VerifyingKeys.BadCommittedInput.selector, 1, 7));
        bad = _copy();
        bad[COMMITTED + 4] = 0x01;
        _refused(bad, abi.encodeWithSelector(VerifyingKeys.BadCommittedInput.selector, 1, 262));
    }

    /// @dev The largest key there can be: 302 inputs, all of them committed.
    function test_theLargestKeyFits() public {
        bytes memory large = new bytes(K + 64 * 304 + 256 + 2 + 2 * 302);
        for (uint256 i = 0; i < K + 64 * 304; ++i) {
            large[i] = i < K + 64 ? key[i] : key[K + 64 + (i - K) % 64];
        }
        (large[4], large[5]) = (0x01, 0x2e);
        for (uint256 i = 0; i < 256; ++i) {
            large[K + 64 * 304 + i] = key[G + i];
        }
        for (uint256 i = 0; i <= 302; ++i) {
            uint256 word = i == 0 ? 302 : i;
            large[K + 64 * 304 + 256 + 2 * i] = bytes1(uint8(word >> 8));
            large[K + 64 * 304 + 256 + 2 * i + 1] = bytes1(uint8(word));
        }
        bytes32 id = keys.register(large);
        eq(keys.inputsOf(id), 302, "inputs");
        yes(keys.codeOf(id).code.length <= 24_576, "size");
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

    function _copy() private view returns (bytes memory) {
        return bytes.concat(key);
    }

    function _cut(uint256 length) private view returns (bytes memory out) {
        out = _copy();
        assembly ("memory-safe") {
            mstore(out, length)
        }
    }

    function _part(bytes memory from, uint256 offset) private pure returns (bytes memory out) {
        out = new bytes(128);
        for (uint256 i = 0; i < 128; ++i) {
            out[i] = from[offset + i];
        }
    }

    function _put(bytes memory into, uint256 offset, bytes memory part) private pure {
        for (uint256 i = 0; i < part.length; ++i) {
            into[offset + i] = part[i];
        }
    }

    function _zeroed(uint256 offset, uint256 length) private view returns (bytes memory bad) {
        bad = _copy();
        _put(bad, offset, new bytes(length));
    }
}
