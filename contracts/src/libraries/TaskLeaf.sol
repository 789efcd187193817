// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Task} from "../Types.sol";

/// @title A task's identity and its leaf in a block
library TaskLeaf {
    /// @notice SHA-256("gristmill task id v1" ‖ deploymentId ‖ parent block's hash ‖ project u64 ‖ dataHash).
    function id(Task calldata t, bytes32 deploymentId, bytes32 parentHash) internal pure returns (bytes32) {
        return sha256(abi.encodePacked("gristmill task id v1", deploymentId, parentHash, t.project, t.dataHash));
    }

    /// @notice The leaf's bytes: all that a miner could otherwise swap, the authorisation by its hash.
    function encode(Task calldata t, bytes32 taskId) internal pure returns (bytes memory) {
        bytes32 authorisation = keccak256(abi.encodePacked(t.expiry, t.signature));
        return abi.encodePacked(
            "gristmill task leaf v1",
            taskId,
            t.project,
            t.version,
            t.count,
            t.dataCommitment,
            t.dataHash,
            t.size,
            authorisation
        );
    }
}
