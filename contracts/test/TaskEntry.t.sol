// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ProverRegistry} from "../src/ProverRegistry.sol";
import {TaskManager} from "../src/TaskManager.sol";
import {Record, SkipReason, Status, Task, SCALAR_MODULUS} from "../src/Types.sol";
import {Deployed} from "./Deployed.sol";
import {Vm, vm} from "./Vm.sol";

/// @dev What becomes of a task when its block is mined: recorded, offered, or skipped and why.
contract TaskEntryTest is Deployed {
    function test_goodTaskIsRecordedAndOffered() public {
        Task memory t = _task(0);
        vm.recordLogs();
        bytes32 id = _enter(t);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        eq(logs.length, 2, "events");
        eq(logs[0].topics[0], TaskManager.TaskMined.selector, "mined first");
        eq(logs[0].topics[1], id, "id");
        eq(logs[1].topics[0], TaskManager.TaskOffered.selector, "then offered");
        Record memory r = tasks.taskOf(id);
        eq(uint256(r.status), uint256(Status.Offered), "status");
        eq(r.attempt, 1, "attempt");
        eq(r.project, PROJECT, "project");
        eq(r.version, 1, "version");
        eq(r.count, 2, "count");
        eq(r.height, 1, "height");
        eq(r.sequencer, sequencer, "sequencer");
        eq(r.dataCommitment, t.dataCommitment, "commitment");
        eq(r.dataHash, t.dataHash, "data");
        eq(r.acceptBy, block.timestamp + ACCEPT_WINDOW, "window");
        eq(r.deadline, 0, "deadline");
        no(r.withheld, "nothing withheld before acceptance");
        yes(r.prover == ALICE || r.prover == BOB, "prover");
        eq(provers.proverOf(r.prover).offered, 1, "room");
    }

    function test_skipsUnknownVersion() public {
        Task memory t = _task(0);
        t.version = 2;
        _skips(t, SkipReason.UnknownVersion);
        t.version = 0;
        _skips(t, SkipReason.UnknownVersion);
        t.version = 1;
        t.project = 2;
        _skips(t, SkipReason.UnknownVersion);
    }

    function test_skipsPausedProject() public {
        vm.prank(OWNER);
        projects.setPaused(PROJECT, true);
        _skips(_task(0), SkipReason.ProjectPaused);
        vm.prank(OWNER);
        projects.setPaused(PROJECT, false);
        _is(_enter(_task(0)), Status.Offered);
    }

    function test_skipsBadCount() public {
        Task memory t = _task(0);
        t.count = 0;
        _skips(t, SkipReason.BadCount);
        t.count = 9;
        _skips(t, SkipReason.BadCount);
    }

    function test_skipsBadSize() public {
        Task memory t = _task(0);
        t.size = 17 + 2 * 121 - 1;
        _skips(t, SkipReason.BadSize);
        t.size = 17 + 2 * (160 + 32) + 1;
        _skips(t, SkipReason.BadSize);
        t.size = type(uint32).max;
        _skips(t, SkipReason.BadSize);
    }

    function test_skipsCommitmentOutsideTheField() public {
        Task memory t = _task(0);
        t.dataCommitment = SCALAR_MODULUS;
        _authorise(t, SEQUENCER_KEY);
        _skips(t, SkipReason.BadCommitment);
    }

    function test_skipsExpiredAuthorisation() public {
        Task memory t = _task(0);
        vm.warp(t.expiry + 1);
        _skips(t, SkipReason.Expired);
        vm.warp(t.expiry);
        _is(_enter(t), Status.Offered);
    }

    function test_skipsBadAuthorisation() public {
        Task memory t = _task(0);
        _authorise(t, 0xdead);
        _skips(t, SkipReason.BadAuthorisation);

        t = _task(0);
        t.signature = new bytes(65);
        _skips(t, SkipReason.BadAuthorisation);
        t.signature = "";
        _skips(t, SkipReason.BadAuthorisation);
        t.signature = new bytes(10_000);
        _skips(t, SkipReason.BadAuthorisation);

        // The other signature of the same message, with high s, is no second authorisation.
        t = _task(0);
        t.signature = _highS(t.signature);
        _skips(t, SkipReason.BadAuthorisation);

        // Signed for other values.
        t = _task(0);
        (t.count, t.size) = (1, 157);
        _skips(t, SkipReason.BadAuthorisation);
        t = _task(0);
        t.dataCommitment += 1;
        _skips(t, SkipReason.BadAuthorisation);
        // A size that such a body might have, but that was not signed.
        t = _task(0);
        t.size += 1;
        _skips(t, SkipReason.BadAuthorisation);
        t.size -= 2;
        _skips(t, SkipReason.BadAuthorisation);
        t = _task(0);
        t.expiry += 1;
        _skips(t, SkipReason.BadAuthorisation);

        vm.prank(OWNER);
        projects.setSequencer(PROJECT, sequencer, false);
        _skips(_task(0), SkipReason.BadAuthorisation);
    }

    function test_skipsDuplicateDataWhileAliveAndOnceSettled() public {
        bytes32 id = _accepted(0);
        _skips(_task(0), SkipReason.DuplicateData);
        _settle(0);
        _skips(_task(0), SkipReason.DuplicateData);
        _is(id, Status.Settled);
    }

    function test_recalledAndDeadDataMayBeMinedAgain() public {
        bytes32 id = _enter(_task(0));
        vm.prank(OWNER);
        tasks.recall(id);
        Task memory t = _task(0);
        bytes32 second = _taskId(t, BLOCK);
        vm.prank(address(minter));
        tasks.enter(_ids(second), _one(t), BLOCK, 2, OPERATOR);
        _is(second, Status.Offered);
    }

    function test_skipsWithoutFunds() public {
        uint256 free = escrow.freeOf(PROJECT, address(token));
        vm.prank(OWNER);
        escrow.withdraw(PROJECT, address(token), free - REWARD + 1, OWNER);
        _skips(_task(0), SkipReason.InsufficientFunds);
        _fund(1);
        _is(_enter(_task(0)), Status.Offered);
    }

    function test_sameDataTwiceInOneBlock() public {
        Task memory t = _task(0);
        Task[] memory list = new Task[](2);
        (list[0], list[1]) = (t, t);
        bytes32[] memory ids = new bytes32[](2);
        ids[0] = _taskId(t, BLOCK);
        ids[1] = ids[0];
        vm.recordLogs();
        vm.prank(address(minter));
        tasks.enter(ids, list, BLOCK, 1, OPERATOR);
        eq(tasks.taskOf(ids[0]).attempt, 1, "one offer");
        _logged(TaskManager.TaskMined.selector, TaskManager.TaskOffered.selector, ids[0], SkipReason.DuplicateData);
    }

    /// @dev The first of two leaves with one id may also be the bad one: then the second stands.
    function test_sameDataTwiceInOneBlockWithABadLeafFirst() public {
        Task memory t = _task(0);
        Task[] memory list = new Task[](2);
        (list[0], list[1]) = (_task(0), t);
        list[0].signature = new bytes(65);
        bytes32[] memory ids = new bytes32[](2);
        ids[0] = _taskId(t, BLOCK);
        ids[1] = ids[0];
        vm.recordLogs();
        vm.prank(address(minter));
        tasks.enter(ids, list, BLOCK, 1, OPERATOR);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        eq(logs.length, 4, "events");
        eq(logs[1].topics[0], TaskManager.TaskSkipped.selector, "the bad one is skipped");
        eq(uint256(bytes32(logs[1].data)), uint256(SkipReason.BadAuthorisation), "reason");
        eq(logs[2].topics[0], TaskManager.TaskMined.selector, "then the good one");
        eq(logs[3].topics[0], TaskManager.TaskOffered.selector, "is offered");
        _is(ids[0], Status.Offered);
    }

    function test_waitsWhenNobodyHasRoomAndIsClaimed() public {
        vm.prank(ALICE);
        provers.pause();
        vm.prank(BOB);
        provers.optOut(PROJECT);
        bytes32 id = _enter(_task(0));
        _is(id, Status.Waiting);

        vm.prank(BOB);
        vm.expectRevert(abi.encodeWithSelector(ProverRegistry.NotEligible.selector, PROJECT, BOB));
        tasks.claim(id);
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(ProverRegistry.NotEligible.selector, PROJECT, ALICE));
        tasks.claim(id);
        vm.prank(OUTSIDER);
        vm.expectRevert(abi.encodeWithSelector(ProverRegistry.NotEligible.selector, PROJECT, OUTSIDER));
        tasks.claim(id);

        vm.startPrank(ALICE);
        provers.resume();
        tasks.claim(id);
        vm.expectRevert(abi.encodeWithSelector(TaskManager.NotWaiting.selector, id));
        tasks.claim(id);
        vm.stopPrank();
        _is(id, Status.Accepted);
        eq(provers.proverOf(ALICE).used, 1, "used");
        eq(escrow.withheldOf(PROJECT, address(token)), REWARD, "withheld");
        _settle(0);
    }

    function test_offersNeverExceedCapacity() public {
        Task[] memory list = new Task[](12);
        bytes32[] memory ids = new bytes32[](12);
        for (uint256 i = 0; i < 12; ++i) {
            list[i] = _taskOf(sha256(abi.encode(i)), i);
            ids[i] = _taskId(list[i], BLOCK);
        }
        vm.prank(address(minter));
        tasks.enter(ids, list, BLOCK, 1, OPERATOR);
        uint256 waiting = 0;
        for (uint256 i = 0; i < 12; ++i) {
            if (tasks.taskOf(ids[i]).status == Status.Waiting) ++waiting;
        }
        eq(waiting, 4, "both are full with four each");
        eq(provers.proverOf(ALICE).offered, 4, "alice");
        eq(provers.proverOf(BOB).offered, 4, "bob");
    }

    /// @dev Two leaves of one id: the first went its way in two events, the second was skipped in two more.
    function _logged(bytes32 first, bytes32 second, bytes32 id, SkipReason reason) private {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        eq(logs.length, 4, "events");
        eq(logs[0].topics[0], first, "first");
        eq(logs[1].topics[0], second, "second");
        eq(logs[2].topics[0], TaskManager.TaskMined.selector, "mined again");
        eq(logs[3].topics[0], TaskManager.TaskSkipped.selector, "skipped");
        eq(uint256(bytes32(logs[3].data)), uint256(reason), "reason");
        for (uint256 i = 0; i < 4; ++i) {
            eq(logs[i].topics[1], id, "one id");
        }
    }

    function _skips(Task memory t, SkipReason reason) private {
        bytes32 id = _taskId(t, minter.hashAt(0));
        Status before = tasks.taskOf(id).status;
        vm.expectEmit(true, false, false, true, address(tasks));
        emit TaskManager.TaskSkipped(id, uint8(reason));
        _enter(t);
        _is(id, before);
    }

    function _highS(bytes memory signature) private pure returns (bytes memory) {
        uint256 n = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        bytes32 r = _slice(signature, 0);
        uint256 s = n - uint256(_slice(signature, 32));
        uint8 v = uint8(signature[64]) == 27 ? 28 : 27;
        return abi.encodePacked(r, s, v);
    }
}
