// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Registry} from "../src/Registry.sol";
import {Task} from "../src/Types.sol";
import {BitcoinHeader} from "../src/libraries/BitcoinHeader.sol";
import {Coinbase} from "../src/libraries/Coinbase.sol";
import {Compact} from "../src/libraries/Compact.sol";
import {MerkleRoot} from "../src/libraries/MerkleRoot.sol";
import {TaskLeaf} from "../src/libraries/TaskLeaf.sol";
import {Deployed} from "./Deployed.sol";
import {Vectors, vm} from "./Vm.sol";

/// @dev The golden vectors of wire/testdata that concern whole records; Go reads the same files.
contract VectorsTest is Deployed {
    using Vectors for Vectors.Cursor;

    function test_deploymentVectors() public {
        Vectors.Cursor memory v = Vectors.open("deployment.json");
        eq(address(registry), REGISTRY, "fixture address");
        bool ours = false;
        for (uint256 i = 0; v.seek(i); ++i) {
            if (v.account("registry") != REGISTRY) continue;
            if (v.number("chainId") != 31337) continue;
            ours = true;
            eq(registry.deploymentId(), v.word("deploymentId"), "deploymentId");
            eq(minter.hashAt(0), v.word("genesisHash"), "genesis");
        }
        yes(ours, "the fixture's deployment");
        // Another chain is another deployment, even at the same address.
        vm.chainId(1);
        yes(new Registry().deploymentId() != new Registry().deploymentId(), "address");
    }

    function test_bindingVectors() public view {
        Vectors.Cursor memory v = Vectors.open("binding.json");
        uint256 ours = 0;
        for (uint256 i = 0; v.seek(i); ++i) {
            if (v.account("registry") != REGISTRY || v.number("chainId") != 31337) continue;
            ++ours;
            eq(tasks.bindingOf(v.word("taskId"), v.account("prover")), uint256(v.word("binding")), "binding");
        }
        yes(ours > 0, "vectors");
        for (uint256 i = 0; i < proven.length; ++i) {
            eq(tasks.bindingOf(proven[i].taskId, proven[i].prover), proven[i].binding, "fixture");
        }
    }

    function test_taskVectors() public view {
        Vectors.Cursor memory v = Vectors.open("task.json");
        uint256 ours = 0;
        for (uint256 i = 0; v.seek(i); ++i) {
            if (v.account("registry") != REGISTRY || v.number("chainId") != 31337) continue;
            ++ours;
            Task memory t = _read(v);
            eq(tasks.authorisationDigest(t), v.word("signingHash"), "digest");
            (bytes32 id, bytes memory leaf) = this.leafOf(t, v.word("parent"));
            eq(id, v.word("taskId"), "id");
            eq(leaf, v.data("leaf"), "leaf");
            eq(MerkleRoot.leaf(leaf), v.word("leafHash"), "leaf hash");
            Task memory ownSignature = _read(v);
            _authorise(ownSignature, uint256(v.word("secret")));
            eq(ownSignature.signature, t.signature, "signature");
        }
        yes(ours > 0, "vectors");
    }

    function test_coinbaseVectors() public view {
        Vectors.Cursor memory v = Vectors.open("coinbase.json");
        uint256 i = 0;
        for (; v.seek(i); ++i) {
            Coinbase.Fields memory f = this.coinbaseOf(v.data("encoding"));
            eq(f.minter, v.account("minter"), "minter");
            eq(f.operator, v.account("operator"), "operator");
            eq(f.beneficiary, v.account("beneficiary"), "beneficiary");
            eq(f.height, v.number("height"), "height");
            eq(f.taskCount, v.number("taskCount"), "tasks");
            eq(MerkleRoot.leaf(v.data("encoding")), v.word("leafHash"), "leaf hash");
        }
        yes(i > 2, "vectors");
    }

    /// @dev Whole mined blocks: header, hash, leaves, root and work, each from the parts of the case.
    function test_blockVectors() public view {
        Vectors.Cursor memory v = Vectors.open("block.json");
        uint256 i = 0;
        uint256 withTasks = 0;
        for (; v.seek(i); ++i) {
            eq(v.account("registry"), REGISTRY, "the fixture's deployment");
            Coinbase.Fields memory cb = this.coinbaseOf(v.data("coinbase"));
            eq(cb.deploymentId, registry.deploymentId(), "deployment");
            eq(cb.height, v.number("height"), "height");
            eq(cb.taskCount, v.number("taskCount"), "tasks");
            eq(cb.beneficiary, v.account("beneficiary"), "beneficiary");

            (BitcoinHeader.Header memory h, bytes32 hash) = this.headerOf(v.data("header"));
            eq(hash, v.word("hash"), "hash");
            eq(hash, sha256(abi.encodePacked(sha256(v.data("header")))), "hash twice over");
            yes(BitcoinHeader.versionOk(h.version), "version");
            yes(BitcoinHeader.meets(hash, Compact.toTarget(h.bits)), "work");
            no(BitcoinHeader.meets(~bytes32(0), Compact.toTarget(h.bits)), "the largest hash is no work");

            bytes32[] memory leaves = new bytes32[](v.number("taskCount") + 1);
            leaves[0] = MerkleRoot.leaf(v.data("coinbase"));
            for (uint256 j = 1; j < leaves.length; ++j) {
                leaves[j] = _leafOf(v, j - 1, h.prev);
                ++withTasks;
            }
            no(vm.keyExistsJson(v.json, string.concat(v.prefix, ".tasks[", vm.toString(leaves.length - 1), "]")), "all");
            eq(MerkleRoot.root(leaves), v.word("merkleRoot"), "root");
            eq(h.root, v.word("merkleRoot"), "the header's root");
        }
        yes(i >= 3 && withTasks >= 3, "vectors");
    }

    /// @dev The leaf's hash of task j of a block whose parent is `parent`.
    function _leafOf(Vectors.Cursor memory block_, uint256 j, bytes32 parent) private view returns (bytes32 node) {
        Vectors.Cursor memory v =
            Vectors.Cursor(block_.json, string.concat(block_.prefix, ".tasks[", vm.toString(j), "]"));
        eq(v.word("parent"), parent, "parent");
        Task memory t = _read(v);
        (bytes32 id, bytes memory leaf) = this.leafOf(t, parent);
        eq(id, v.word("taskId"), "id");
        eq(leaf, v.data("leaf"), "leaf");
        node = MerkleRoot.leaf(leaf);
        eq(node, v.word("leafHash"), "leaf hash");
        eq(tasks.authorisationDigest(t), v.word("signingHash"), "digest");
    }

    function headerOf(bytes calldata raw) external pure returns (BitcoinHeader.Header memory, bytes32) {
        return (BitcoinHeader.parse(raw), BitcoinHeader.hash(raw));
    }

    /// @dev Makes calldata of memory.
    function leafOf(Task calldata t, bytes32 parent) external view returns (bytes32 id, bytes memory leaf) {
        id = TaskLeaf.id(t, registry.deploymentId(), parent);
        leaf = TaskLeaf.encode(t, id);
    }

    function coinbaseOf(bytes calldata raw) external pure returns (Coinbase.Fields memory) {
        return Coinbase.parse(raw);
    }

    function _read(Vectors.Cursor memory v) private pure returns (Task memory) {
        return Task({
            project: uint64(v.number("project")),
            version: uint32(v.number("version")),
            count: uint32(v.number("count")),
            dataCommitment: uint256(v.word("dataCommitment")),
            dataHash: v.word("dataHash"),
            size: uint32(v.number("size")),
            expiry: uint64(v.number("expiry")),
            signature: v.data("signature")
        });
    }
}
