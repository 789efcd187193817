// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Asert} from "../src/libraries/Asert.sol";
import {BitcoinHeader} from "../src/libraries/BitcoinHeader.sol";
import {Compact} from "../src/libraries/Compact.sol";
import {MerkleRoot} from "../src/libraries/MerkleRoot.sol";
import {Test, Vectors, Vm, vm} from "./Vm.sol";

/// @dev Makes the libraries callable, so that a revert can be expected.
contract Libraries {
    function toTarget(uint32 bits) external pure returns (uint256) {
        return Compact.toTarget(bits);
    }

    function parse(bytes calldata raw) external pure returns (BitcoinHeader.Header memory, bytes32) {
        return (BitcoinHeader.parse(raw), BitcoinHeader.hash(raw));
    }

    function root(bytes32[] calldata leaves) external view returns (bytes32) {
        return MerkleRoot.root(leaves);
    }
}

contract LibrariesTest is Test {
    using Vectors for Vectors.Cursor;

    Libraries private libraries = new Libraries();

    function test_compactVectors() public {
        Vectors.Cursor memory v = Vectors.open("compact.json");
        uint256 i = 0;
        for (; v.seek(i); ++i) {
            uint32 bits = uint32(v.number("bits"));
            if (!v.flag("valid")) {
                vm.expectRevert(abi.encodeWithSelector(Compact.BadCompact.selector, bits));
                libraries.toTarget(bits);
                continue;
            }
            uint256 target = libraries.toTarget(bits);
            eq(target, uint256(v.word("target")), "target");
            eq(Compact.fromTarget(target), v.number("canonical"), "canonical");
        }
        yes(i > 10, "vectors");
    }

    function testFuzz_compactRoundTripLosesOnlyLowBits(uint256 target) public pure {
        vm.assume(target != 0);
        uint32 bits = Compact.fromTarget(target);
        uint256 back = Compact.toTarget(bits);
        yes(back <= target, "rounds down");
        eq(Compact.fromTarget(back), bits, "fixed point");
        // At least 15 of the leading bits are kept.
        yes(target - back <= target >> 15, "precision");
    }

    function test_headerVectors() public view {
        Vectors.Cursor memory v = Vectors.open("header.json");
        uint256 i = 0;
        for (; v.seek(i); ++i) {
            (BitcoinHeader.Header memory h, bytes32 hash) = libraries.parse(v.data("encoding"));
            eq(hash, v.word("hash"), "hash");
            eq(h.prev, v.word("prev"), "prev");
            eq(h.root, v.word("merkleRoot"), "root");
            eq(h.time, v.number("time"), "time");
            eq(h.bits, v.number("bits"), "bits");
            eq(h.version, v.number("version"), "version");
            eq(h.nonce, v.number("nonce"), "nonce");
            yes(BitcoinHeader.versionOk(h.version) == v.flag("versionOk"), "version rule");
            yes(_work(h, hash) == v.flag("workOk"), "work");
        }
        yes(i > 3, "vectors");
    }

    /// @dev The vectors' flag is false for a bad version or bad bits as well.
    function _work(BitcoinHeader.Header memory h, bytes32 hash) private view returns (bool) {
        try libraries.toTarget(h.bits) returns (uint256 target) {
            return BitcoinHeader.versionOk(h.version) && BitcoinHeader.meets(hash, target);
        } catch {
            return false;
        }
    }

    function test_headerOfAnotherLengthIsRefused() public {
        vm.expectRevert(abi.encodeWithSelector(BitcoinHeader.BadHeaderLength.selector, 79));
        libraries.parse(new bytes(79));
        vm.expectRevert(abi.encodeWithSelector(BitcoinHeader.BadHeaderLength.selector, 81));
        libraries.parse(new bytes(81));
    }

    function testFuzz_reverseTwiceIsNothing(uint256 x) public pure {
        uint256 reversed = BitcoinHeader.reverse(x);
        eq(BitcoinHeader.reverse(reversed), x, "twice");
        eq(reversed & 0xff, x >> 248, "ends");
    }

    function test_merkleVectors() public {
        Vectors.Cursor memory v = Vectors.open("merkle.json");
        uint256 i = 0;
        for (; v.seek(i); ++i) {
            bytes[] memory leaves = v.datas("leaves");
            bytes32[] memory nodes = v.words("leafHashes");
            for (uint256 j = 0; j < leaves.length; ++j) {
                eq(MerkleRoot.leaf(leaves[j]), nodes[j], "leaf");
            }
            eq(libraries.root(nodes), v.word("root"), "root");
        }
        yes(i > 5, "vectors");
        vm.expectRevert(MerkleRoot.NoLeaves.selector);
        libraries.root(new bytes32[](0));
    }
}

/// @dev aserti3-2d against Bitcoin Cash's published vectors and ours.
contract ASERTTest is Test {
    using Vectors for Vectors.Cursor;

    struct Anchor {
        uint256 height;
        int256 parentTime;
        uint32 bits;
        uint256 iterations;
        /// which header fields were there, a bit each
        uint8 found;
    }

    uint256 private constant BCH_LIMIT_BITS = 0x1d00ffff;

    function test_ASERT_publishedVectors() public view {
        uint256 rows = _folder("../wire/testdata/asert");
        yes(rows > 1000, "rows");
    }

    /// @dev Every file of the folder that ASERT_VECTORS names, if it names one.
    function test_ASERT_vectorsOfTheEnvironment() public view {
        string memory folder = vm.envOr("ASERT_VECTORS", string(""));
        if (bytes(folder).length == 0) return;
        yes(_folder(folder) > 0, "rows");
    }

    function test_ASERT_ourVectors() public view {
        Vectors.Cursor memory v = Vectors.open("asert.json");
        uint256 i = 0;
        for (; v.seek(i); ++i) {
            uint32 got = Asert.nextBits(
                uint32(v.number("anchorBits")),
                v.signed("time") - v.signed("anchorParentTime"),
                int256(v.number("height")) - int256(v.number("anchorHeight")),
                v.number("targetSeconds"),
                v.number("halfLife"),
                Compact.toTarget(uint32(v.number("powLimit")))
            );
            eq(got, v.number("nextBits"), vm.toString(i));
        }
        yes(i > 100, "vectors");
    }

    /// @dev Whatever the clock and the height, the target stays between one and the limit, and waiting never makes it harder.
    function testFuzz_ASERT_staysWithinLimitsAndFallsWithTime(
        uint32 bits,
        int64 elapsed,
        uint32 later,
        uint64 blocks,
        uint32 spacing,
        uint32 halfLife
    ) public pure {
        vm.assume(spacing != 0 && halfLife != 0);
        uint256 limit = Compact.toTarget(0x1e7fffff);
        uint32 anchor = Compact.fromTarget(bound(uint256(bits) << 207, 1, limit));
        uint256 first =
            Compact.toTarget(Asert.nextBits(anchor, elapsed, int256(uint256(blocks)), spacing, halfLife, limit));
        uint256 second = Compact.toTarget(
            Asert.nextBits(
                anchor, int256(elapsed) + int256(uint256(later)), int256(uint256(blocks)), spacing, halfLife, limit
            )
        );
        yes(first >= 1 && first <= limit, "within");
        yes(second >= first && second <= limit, "not harder");
    }

    function test_ASERT_onScheduleKeepsTheAnchor() public pure {
        uint256 limit = Compact.toTarget(0x1e7fffff);
        for (uint256 blocks = 0; blocks < 2000; blocks += 7) {
            uint32 got = Asert.nextBits(0x1d123456, int256((blocks + 1) * 10), int256(blocks), 10, 300, limit);
            eq(got, 0x1d123456, "on schedule");
        }
        // One half-life late halves the difficulty, one early doubles it.
        eq(Asert.nextBits(0x1d100000, 310, 0, 10, 300, limit), 0x1d200000, "late");
        eq(Asert.nextBits(0x1d100000, -290, 0, 10, 300, limit), 0x1d080000, "early");
    }

    function _folder(string memory folder) private view returns (uint256 rows) {
        Vm.DirEntry[] memory files = vm.readDir(folder);
        for (uint256 i = 0; i < files.length; ++i) {
            if (!files[i].isDir && _isVectors(files[i].path)) rows += _file(files[i].path);
        }
    }

    /// @dev All files but notes (.md) and hidden ones.
    function _isVectors(string memory path) private pure returns (bool) {
        string[] memory parts = vm.split(path, "/");
        bytes memory name = bytes(parts[parts.length - 1]);
        if (name.length == 0 || name[0] == ".") return false;
        string[] memory dots = vm.split(string(name), ".");
        return keccak256(bytes(dots[dots.length - 1])) != keccak256("md");
    }

    /// @dev What is skipped and what is not must not depend on the folders above the file.
    function test_ASERT_notesAndHiddenFilesAreNoVectors() public pure {
        yes(_isVectors("/a.md/run01.txt"), "a folder may be called anything");
        yes(_isVectors("run01"), "no ending");
        no(_isVectors("/a/README.md"), "notes");
        no(_isVectors("/a/.run01.txt.swp"), "hidden");
    }

    /// @dev Header lines start with ##, rows are "iteration height time bits". A file without the anchor, or with other rows
    /// than it announces, would pass unread, so it fails.
    function _file(string memory path) private view returns (uint256 rows) {
        string[] memory lines = vm.split(vm.readFile(path), "\n");
        Anchor memory anchor;
        uint256 limit = Compact.toTarget(uint32(BCH_LIMIT_BITS));
        for (uint256 i = 0; i < lines.length; ++i) {
            string memory line = vm.trim(lines[i]);
            if (bytes(line).length == 0) continue;
            if (bytes(line)[0] == "#") {
                _header(anchor, line);
            } else {
                eq(anchor.found, 15, string.concat("anchor height, parent time, nBits and iterations: ", path));
                _row(anchor, line, limit, string.concat(path, " ", line));
                ++rows;
            }
        }
        eq(anchor.found, 15, string.concat("header: ", path));
        eq(rows, anchor.iterations, string.concat("rows: ", path));
    }

    function _header(Anchor memory anchor, string memory line) private pure {
        string[] memory parts = vm.split(line, ":");
        if (parts.length != 2) return;
        string memory value = vm.trim(parts[1]);
        if (vm.contains(parts[0], "anchor height")) {
            anchor.height = vm.parseUint(value);
            anchor.found |= 1;
        }
        if (vm.contains(parts[0], "anchor ancestor time") || vm.contains(parts[0], "anchor parent time")) {
            anchor.parentTime = vm.parseInt(value);
            anchor.found |= 2;
        }
        if (vm.contains(parts[0], "anchor nBits")) {
            anchor.bits = uint32(vm.parseUint(value));
            anchor.found |= 4;
        }
        if (vm.contains(parts[0], "iterations")) {
            anchor.iterations = vm.parseUint(value);
            anchor.found |= 8;
        }
    }

    function _row(Anchor memory anchor, string memory line, uint256 limit, string memory what) private pure {
        string[] memory f = vm.split(line, " ");
        eq(f.length, 4, what);
        uint32 got = Asert.nextBits(
            anchor.bits,
            vm.parseInt(f[2]) - anchor.parentTime,
            int256(vm.parseUint(f[1])) - int256(anchor.height),
            600,
            172_800,
            limit
        );
        eq(got, vm.parseUint(f[3]), what);
    }
}
