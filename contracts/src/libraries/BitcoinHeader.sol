// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Bitcoin's 80-byte block header
/// @notice version 4 LE ‖ previous 32 ‖ merkle root 32 ‖ time 4 LE ‖ bits 4 LE ‖ nonce 4 LE. Hashes are in digest order.
library BitcoinHeader {
    error BadHeaderLength(uint256 got);

    struct Header {
        uint32 version;
        bytes32 prev;
        bytes32 root;
        uint32 time;
        uint32 bits;
        uint32 nonce;
    }

    uint256 internal constant LENGTH = 80;
    /// @dev Version bits that BIP 320 leaves to miners, and what the others must be.
    uint32 private constant FREE_VERSION_BITS = 0x1fffe000;
    uint32 private constant VERSION = 0x20000000;

    function parse(bytes calldata raw) internal pure returns (Header memory h) {
        if (raw.length != LENGTH) revert BadHeaderLength(raw.length);
        h.version = _swap(uint32(bytes4(raw[0:4])));
        h.prev = bytes32(raw[4:36]);
        h.root = bytes32(raw[36:68]);
        h.time = _swap(uint32(bytes4(raw[68:72])));
        h.bits = _swap(uint32(bytes4(raw[72:76])));
        h.nonce = _swap(uint32(bytes4(raw[76:80])));
    }

    /// @notice Whether only the bits that are free differ from the one version there is.
    function versionOk(uint32 version) internal pure returns (bool) {
        return version & ~FREE_VERSION_BITS == VERSION;
    }

    /// @notice SHA-256d: the block's identity and its proof of work.
    function hash(bytes calldata raw) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(sha256(raw)));
    }

    /// @notice Whether a hash, read as a little-endian integer, is within the target.
    function meets(bytes32 blockHash, uint256 target) internal pure returns (bool) {
        return reverse(uint256(blockHash)) <= target;
    }

    /// @notice The 32 bytes in the other order.
    function reverse(uint256 x) internal pure returns (uint256) {
        uint256 m = 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff;
        x = ((x >> 8) & m) | ((x & m) << 8);
        m = 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff;
        x = ((x >> 16) & m) | ((x & m) << 16);
        m = 0x00000000ffffffff00000000ffffffff00000000ffffffff00000000ffffffff;
        x = ((x >> 32) & m) | ((x & m) << 32);
        m = 0x0000000000000000ffffffffffffffff0000000000000000ffffffffffffffff;
        x = ((x >> 64) & m) | ((x & m) << 64);
        return (x >> 128) | (x << 128);
    }

    function _swap(uint32 x) private pure returns (uint32) {
        return (x >> 24) | ((x >> 8) & 0xff00) | ((x & 0xff00) << 8) | (x << 24);
    }
}
