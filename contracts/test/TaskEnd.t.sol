// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ProverRegistry} from "../src/ProverRegistry.sol";
import {TaskManager} from "../src/TaskManager.sol";
import {Prover, Record, Status, Version} from "../src/Types.sol";
import {Deployed} from "./Deployed.sol";
import {vm} from "./Vm.sol";

/// @dev Deadlines, recalls and changed settings: the ends of a task other than settlement.
contract TaskEndTest is Deployed {
    // ---- deadlines

    function test_reassignSlashesAndKeepsTheRewardWithheld() public {
        bytes32 id = _accepted(0);
        uint64 deadline = tasks.taskOf(id).deadline;
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(TaskManager.DeadlineNotPassed.selector, id, deadline));
        tasks.reassign(id);
        vm.warp(deadline + 1);
        vm.prank(OUTSIDER);
        tasks.reassign(id);
        Record memory r = tasks.taskOf(id);
        eq(r.prover, BOB, "next");
        eq(uint256(r.status), uint256(Status.Offered), "offered");
        yes(r.withheld, "still withheld");
        eq(escrow.withheldOf(PROJECT, address(token)), REWARD, "withheld once");
        Prover memory late = provers.proverOf(ALICE);
        eq(late.stake, STAKE - BOND, "slashed");
        eq(late.used, 0, "released");
        yes(late.idle, "idle");
        eq(provers.owed(OUTSIDER), BOND / 10, "bounty");

        // The late prover's proof is worthless now.
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(TaskManager.NotAssigned.selector, id, ALICE));
        tasks.settle(id, proven[0].proof, proven[0].outputs);
        vm.expectRevert(abi.encodeWithSelector(TaskManager.NotAssigned.selector, id, BOB));
        tasks.reassign(id);

        vm.prank(BOB);
        tasks.accept(_ids(id));
        eq(escrow.withheldOf(PROJECT, address(token)), REWARD, "not withheld twice");
        _settle(1);
        eq(escrow.withheldOf(PROJECT, address(token)), 0, "paid out");
    }

    /// @dev Who set the deadline and the work, and who chose the moment, must not live on bonds.
    function test_reassignPaysNoBountyToTheProjectNorItsSequencer() public {
        address[3] memory callers = [OWNER, sequencer, OUTSIDER];
        for (uint256 i = 0; i < callers.length; ++i) {
            bytes32 id = _enter(_taskOf(sha256(abi.encode("bounty", i)), 1));
            address late = tasks.taskOf(id).prover;
            vm.prank(late);
            tasks.accept(_ids(id));
            uint256 stakeBefore = provers.proverOf(late).stake;
            vm.warp(block.timestamp + PROVE_WINDOW + 1);
            bool party = callers[i] != OUTSIDER;
            vm.expectEmit(true, true, false, true, address(provers));
            emit ProverRegistry.Slashed(late, BOND, party ? address(0) : callers[i], party ? 0 : BOND / 10);
            vm.prank(callers[i]);
            tasks.reassign(id);
            eq(provers.proverOf(late).stake, stakeBefore - BOND, "slashed all the same");
            eq(provers.owed(callers[i]), party ? 0 : BOND / 10, "bounty");
            vm.prank(late);
            provers.resume();
        }
        eq(provers.owed(address(0)), 0, "burnt, not owed to nobody");
    }

    function test_lateProverStillSettlesWhileNobodyMovedTheTaskOn() public {
        bytes32 id = _accepted(0);
        vm.warp(block.timestamp + 100 * PROVE_WINDOW);
        _settle(0);
        _is(id, Status.Settled);
    }

    function test_reassignedTaskThatDiesIsRefunded() public {
        vm.prank(BOB);
        provers.optOut(PROJECT);
        uint256 free = escrow.freeOf(PROJECT, address(token));
        bytes32 id = _enter(_task(0));
        vm.prank(ALICE);
        tasks.accept(_ids(id));
        for (uint256 attempt = 1; attempt < 8; ++attempt) {
            eq(tasks.taskOf(id).attempt, attempt, "attempt");
            vm.warp(block.timestamp + PROVE_WINDOW + 1);
            tasks.reassign(id);
            // The late prover is idle at once, so nobody can be drawn.
            _is(id, Status.Waiting);
            eq(escrow.withheldOf(PROJECT, address(token)), REWARD, "withheld once");
            vm.startPrank(ALICE);
            provers.resume();
            tasks.claim(id);
            vm.stopPrank();
        }
        vm.warp(block.timestamp + PROVE_WINDOW + 1);
        tasks.reassign(id);
        _is(id, Status.Dead);
        eq(escrow.freeOf(PROJECT, address(token)), free, "refunded");
        eq(escrow.withheldOf(PROJECT, address(token)), 0, "nothing withheld");
        eq(provers.proverOf(ALICE).stake, STAKE - 8 * BOND, "eight bonds");
    }

    function test_waitingTaskWithItsRewardWithheldIsRefundedByRecall() public {
        vm.prank(BOB);
        provers.optOut(PROJECT);
        uint256 free = escrow.freeOf(PROJECT, address(token));
        bytes32 id = _accepted(0);
        vm.warp(block.timestamp + PROVE_WINDOW + 1);
        tasks.reassign(id);
        vm.prank(OWNER);
        tasks.recall(id);
        eq(escrow.freeOf(PROJECT, address(token)), free, "refunded");
    }

    // ---- recalling

    function test_recallBeforeAcceptance() public {
        bytes32 id = _enterFor(0);
        vm.prank(OUTSIDER);
        vm.expectRevert(abi.encodeWithSelector(TaskManager.NotProjectOwner.selector, PROJECT, OUTSIDER));
        tasks.recall(id);
        vm.prank(OWNER);
        tasks.recall(id);
        _is(id, Status.Recalled);
        eq(provers.proverOf(ALICE).offered, 0, "room");
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(TaskManager.NotOffered.selector, id, ALICE));
        tasks.accept(_ids(id));
    }

    function test_recallAfterDeadlineAndGraceRefundsOnce() public {
        bytes32 id = _accepted(0);
        uint256 free = escrow.freeOf(PROJECT, address(token));
        uint64 from = tasks.taskOf(id).deadline + RECALL_GRACE;
        vm.startPrank(OWNER);
        vm.expectRevert(abi.encodeWithSelector(TaskManager.TooEarlyToRecall.selector, id, from));
        tasks.recall(id);
        vm.warp(from);
        vm.expectRevert(abi.encodeWithSelector(TaskManager.TooEarlyToRecall.selector, id, from));
        tasks.recall(id);
        vm.warp(from + 1);
        tasks.recall(id);
        eq(escrow.freeOf(PROJECT, address(token)), free + REWARD, "refunded");
        vm.expectRevert(abi.encodeWithSelector(TaskManager.NotRecallable.selector, id, Status.Recalled));
        tasks.recall(id);
        vm.stopPrank();
        eq(provers.proverOf(ALICE).stake, STAKE - BOND, "the late prover loses its bond");
        eq(provers.owed(OWNER), 0, "never to the project");
    }

    function test_settledTaskCannotBeRecalled() public {
        bytes32 id = _accepted(0);
        _settle(0);
        vm.warp(block.timestamp + 365 days);
        vm.prank(OWNER);
        vm.expectRevert(abi.encodeWithSelector(TaskManager.NotRecallable.selector, id, Status.Settled));
        tasks.recall(id);
    }

    // ---- config changes

    function test_configChangesNeverTouchMinedTasks() public {
        bytes32 id = _enterFor(0);
        vm.startPrank(OWNER);
        Version memory v = _version();
        v.reward = 1;
        v.sequencerShareBps = 5_000;
        v.dapp = address(0);
        projects.addVersion(PROJECT, v);
        projects.setSequencer(PROJECT, sequencer, false);
        projects.setPaused(PROJECT, true);
        vm.stopPrank();
        vm.prank(ALICE);
        tasks.accept(_ids(id));
        _settle(0);
        eq(escrow.owed(address(token), _beneficiaryOf(ALICE)), REWARD * 85 / 100, "old terms");
    }
}
