// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BlockMinter} from "../src/BlockMinter.sol";
import {TaskManager} from "../src/TaskManager.sol";
import {Task} from "../src/Types.sol";
import {Deployed} from "./Deployed.sol";
import {vm} from "./Vm.sol";

/// @dev What the transactions cost: the call's own gas with everything cold, 21,000, and the calldata's price. The
/// figures are kept in snapshots/gas.json; storage refunds are not subtracted.
contract GasTest is Deployed {
    Task[] private none;

    /// @dev A block before, so that no figure pays for first use of the tip's and the beneficiary's slots.
    function setUp() public override {
        super.setUp();
        _mint(none);
        vm.prank(ALICE);
        provers.stake{value: 20 ether}();
        vm.prank(ALICE);
        provers.setCapacity(20);
    }

    function test_gas_mint0() public {
        _measureMint("mint, 0 tasks", 0);
    }

    function test_gas_mint1() public {
        _measureMint("mint, 1 task", 1);
    }

    function test_gas_mint10() public {
        _measureMint("mint, 10 tasks", 10);
    }

    function test_gas_accept1() public {
        bytes32 id = _enterFor(0);
        _cool();
        vm.prank(ALICE);
        _measure("accept, 1 task", address(tasks), abi.encodeCall(TaskManager.accept, (_ids(id))));
    }

    function test_gas_accept10() public {
        vm.prank(BOB);
        provers.pause();
        Task[] memory list = _tasks(10);
        bytes32[] memory ids = new bytes32[](10);
        for (uint256 i = 0; i < 10; ++i) {
            ids[i] = _taskId(list[i], BLOCK);
        }
        vm.prank(address(minter));
        tasks.enter(ids, list, BLOCK, 1, OPERATOR);
        _cool();
        vm.prank(ALICE);
        _measure("accept, 10 tasks", address(tasks), abi.encodeCall(TaskManager.accept, (ids)));
    }

    /// @dev Six public inputs, the sample dApp called, all payees new.
    function test_gas_settle() public {
        bytes32 id = _accepted(0);
        _cool();
        vm.prank(ALICE);
        _measure(
            "settle, 6 inputs, dApp called",
            address(tasks),
            abi.encodeCall(TaskManager.settle, (id, proven[0].proof, proven[0].outputs))
        );
    }

    function test_gas_register() public {
        bytes memory other = bytes.concat(key);
        // The constant's K replaced by another of the key's points: another key.
        for (uint256 i = 0; i < 64; ++i) {
            other[455 + i] = key[519 + i];
        }
        _cool();
        _measure("register a key of 6 inputs", address(keys), abi.encodeCall(keys.register, (other)));
    }

    function _measureMint(string memory name, uint256 count) private {
        Task[] memory list = _tasks(count);
        (bytes memory header, bytes memory coinbase) = _mine(list);
        vm.warp(GENESIS + 20);
        _cool();
        vm.prank(OPERATOR);
        _measure(name, address(minter), abi.encodeCall(BlockMinter.mint, (header, coinbase, list)));
    }

    function _tasks(uint256 count) private view returns (Task[] memory list) {
        list = new Task[](count);
        for (uint256 i = 0; i < count; ++i) {
            list[i] = _taskOf(sha256(abi.encode("gas", i)), i + 1);
        }
    }

    /// @dev As at the start of a transaction.
    function _cool() private {
        address[8] memory all = [
            address(registry),
            address(projects),
            address(provers),
            address(escrow),
            address(rewards),
            address(tasks),
            address(minter),
            address(verifier)
        ];
        for (uint256 i = 0; i < all.length; ++i) {
            vm.cool(all[i]);
        }
        vm.cool(address(keys));
        vm.cool(keys.codeOf(vkId));
        vm.cool(address(keys));
        vm.cool(address(dapp));
    }

    function _measure(string memory name, address target, bytes memory data) private {
        uint256 before = gasleft();
        (bool ok,) = target.call(data);
        uint256 used = before - gasleft();
        yes(ok, name);
        uint256 calldataGas = 0;
        for (uint256 i = 0; i < data.length; ++i) {
            calldataGas += data[i] == 0 ? 4 : 16;
        }
        vm.snapshotValue("gas", name, 21_000 + calldataGas + used);
    }
}
