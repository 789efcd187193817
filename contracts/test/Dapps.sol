// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDapp} from "../src/IDapp.sol";
import {TaskManager} from "../src/TaskManager.sol";

/// @dev Burns a set amount of gas, then counts.
contract HungryDapp is IDapp {
    uint256 public calls;
    uint256 private immutable _appetite;

    constructor(uint256 appetite) {
        _appetite = appetite;
    }

    function onSettled(uint64, bytes32, uint32, uint256[] calldata) external {
        uint256 start = gasleft();
        while (start - gasleft() < _appetite) {}
        ++calls;
    }
}

/// @dev Answers with a megabyte of revert data.
contract BombDapp is IDapp {
    function onSettled(uint64, bytes32, uint32, uint256[] calldata) external pure {
        assembly {
            revert(0, 100000)
        }
    }
}

/// @dev Tries to have the same task settled again from inside the callback.
contract ReentrantDapp is IDapp {
    TaskManager private immutable _tasks;
    uint256[] private _proof;
    bool public failed;

    constructor(TaskManager tasks) {
        _tasks = tasks;
    }

    function arm(uint256[] calldata proof) external {
        _proof = proof;
    }

    function onSettled(uint64, bytes32 id, uint32, uint256[] calldata outputs) external {
        try _tasks.settle(id, _proof, outputs) {
            failed = false;
        } catch {
            failed = true;
        }
    }
}
