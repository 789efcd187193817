// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Bitcoin's merkle tree
/// @notice Nodes are SHA-256d of two children; the last node of an odd level is paired with itself. A duplicated tail
/// gives the same root, so whoever uses it must commit to the number of leaves elsewhere (here the coinbase does).
library MerkleRoot {
    error NoLeaves();

    /// @notice Hash of one leaf's bytes.
    function leaf(bytes memory data) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(sha256(data)));
    }

    /// @notice Root over leaf hashes. Overwrites `nodes`.
    function root(bytes32[] memory nodes) internal view returns (bytes32) {
        uint256 n = nodes.length;
        if (n == 0) revert NoLeaves();
        while (n > 1) {
            uint256 pairs = n >> 1;
            for (uint256 i = 0; i < pairs; ++i) {
                nodes[i] = _pair(nodes[2 * i], nodes[2 * i + 1]);
            }
            if (n & 1 == 1) {
                nodes[pairs] = _pair(nodes[n - 1], nodes[n - 1]);
                ++pairs;
            }
            n = pairs;
        }
        return nodes[0];
    }

    /// @dev SHA-256d of 64 bytes in scratch memory. The precompile cannot fail but by lack of gas, which ends the call.
    function _pair(bytes32 left, bytes32 right) private view returns (bytes32 node) {
        assembly ("memory-safe") {
            mstore(0, left)
            mstore(32, right)
            if iszero(staticcall(gas(), 2, 0, 64, 0, 32)) { revert(0, 0) }
            if iszero(staticcall(gas(), 2, 0, 32, 0, 32)) { revert(0, 0) }
            node := mload(0)
        }
    }
}
