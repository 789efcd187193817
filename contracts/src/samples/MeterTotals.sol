// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDapp} from "../IDapp.sol";

/// @title A sample dApp: totals of verified meter readings
/// @notice Adds up what the meter circuit proved, per project. Only the task manager may report, and it reports a task once.
contract MeterTotals is IDapp {
    error NotTaskManager(address caller);
    error NoTotal();

    event TotalsChanged(uint64 indexed project, bytes32 indexed taskId, uint256 added, uint256 total);

    struct Totals {
        uint64 tasks;
        uint64 readings;
        /// sum of the circuit's first output, the batch's energy
        uint256 energy;
    }

    address public immutable tasks;
    mapping(uint64 project => Totals) private _totals;

    constructor(address tasks_) {
        tasks = tasks_;
    }

    function onSettled(uint64 project, bytes32 taskId, uint32 count, uint256[] calldata outputs) external {
        if (msg.sender != tasks) revert NotTaskManager(msg.sender);
        if (outputs.length == 0) revert NoTotal();
        Totals storage t = _totals[project];
        ++t.tasks;
        t.readings += count;
        t.energy += outputs[0];
        emit TotalsChanged(project, taskId, outputs[0], t.energy);
    }

    function totalsOf(uint64 project) external view returns (Totals memory) {
        return _totals[project];
    }
}
