// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What a project's dApp implements to receive verified outputs
interface IDapp {
    /// @notice Called by the task manager after a task of the project settled, with at most the version's `dappGas`.
    /// A revert is recorded and never undoes the settlement. Implementations must refuse other callers.
    /// @param count messages in the batch
    /// @param outputs the circuit's public outputs, proven
    function onSettled(uint64 project, bytes32 taskId, uint32 count, uint256[] calldata outputs) external;
}
