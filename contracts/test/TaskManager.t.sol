// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Escrow} from "../src/Escrow.sol";
import {ProverRegistry} from "../src/ProverRegistry.sol";
import {TaskManager} from "../src/TaskManager.sol";
import {DeadReason, Prover, Record, SkipReason, Status, Task, Version, SCALAR_MODULUS} from "../src/Types.sol";
import {Deployed} from "./Deployed.sol";
import {Vm, vm} from "./Vm.sol";

/// @dev The life of a task up to its acceptance, and its ends other than settlement.
contract TaskManagerTest is Deployed {
    // ---- entering

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

    // ---- accepting and declining

    function test_acceptWithholdsAndStartsTheDeadline() public {
        bytes32 id = _enterFor(0);
        uint256 free = escrow.freeOf(PROJECT, address(token));
        vm.prank(ALICE);
        tasks.accept(_ids(id));
        Record memory r = tasks.taskOf(id);
        eq(uint256(r.status), uint256(Status.Accepted), "status");
        eq(r.deadline, block.timestamp + PROVE_WINDOW, "deadline");
        yes(r.withheld, "withheld");
        eq(escrow.freeOf(PROJECT, address(token)), free - REWARD, "free");
        eq(escrow.withheldOf(PROJECT, address(token)), REWARD, "withheld");
        Prover memory p = provers.proverOf(ALICE);
        eq(p.offered, 0, "offered");
        eq(p.used, 1, "used");
    }

    function test_acceptIsABatchAllOrNone() public {
        bytes32 a = _enterFor(0);
        bytes32 b = _enterFor(3);
        bytes32[] memory both = new bytes32[](2);
        (both[0], both[1]) = (a, keccak256("unknown"));
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(TaskManager.NotOffered.selector, both[1], ALICE));
        tasks.accept(both);
        _is(a, Status.Offered);
        both[1] = a;
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(TaskManager.NotOffered.selector, a, ALICE));
        tasks.accept(both);
        both[1] = b;
        vm.prank(ALICE);
        tasks.accept(both);
        eq(provers.proverOf(ALICE).used, 2, "used");
    }

    function test_onlyTheOfferedProverAcceptsOrDeclines() public {
        bytes32 id = _enterFor(0);
        vm.startPrank(BOB);
        vm.expectRevert(abi.encodeWithSelector(TaskManager.NotOffered.selector, id, BOB));
        tasks.accept(_ids(id));
        vm.expectRevert(abi.encodeWithSelector(TaskManager.NotOffered.selector, id, BOB));
        tasks.decline(id);
        vm.stopPrank();
    }

    function test_acceptAfterTheWindowWhileTheOfferStands() public {
        bytes32 id = _enterFor(0);
        vm.warp(block.timestamp + 10 * ACCEPT_WINDOW);
        vm.prank(ALICE);
        tasks.accept(_ids(id));
        _is(id, Status.Accepted);
    }

    function test_acceptRefusesWhenTheProjectWithdrewMeanwhile() public {
        bytes32 id = _enterFor(0);
        uint256 free = escrow.freeOf(PROJECT, address(token));
        vm.prank(OWNER);
        escrow.withdraw(PROJECT, address(token), free, OWNER);
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(Escrow.InsufficientFunds.selector, PROJECT, address(token), REWARD, 0));
        tasks.accept(_ids(id));

        // After the window the task dies, and the prover, who could not accept, is not blamed.
        vm.warp(block.timestamp + ACCEPT_WINDOW + 1);
        vm.expectEmit(true, false, false, true, address(tasks));
        emit TaskManager.TaskDead(id, uint8(DeadReason.InsufficientFunds));
        tasks.advance(id);
        no(provers.proverOf(ALICE).idle, "not blamed");
        eq(provers.proverOf(ALICE).offered, 0, "room again");
    }

    function test_waitingTaskOfAnEmptyProjectMayBeEnded() public {
        vm.prank(ALICE);
        provers.pause();
        vm.prank(BOB);
        provers.pause();
        bytes32 id = _enter(_task(0));
        vm.expectRevert(abi.encodeWithSelector(TaskManager.NotOffered.selector, id, address(0)));
        tasks.advance(id);
        uint256 free = escrow.freeOf(PROJECT, address(token));
        vm.prank(OWNER);
        escrow.withdraw(PROJECT, address(token), free, OWNER);
        tasks.advance(id);
        _is(id, Status.Dead);
    }

    function test_offersLockStakeSoThatTheyCanBeAccepted() public {
        bytes32 id = _enterFor(0);
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(ProverRegistry.StakeTooLow.selector, STAKE, STAKE + BOND));
        provers.unstake(STAKE);
        vm.prank(ALICE);
        provers.unstake(STAKE - BOND);
        vm.prank(ALICE);
        tasks.accept(_ids(id));
        _is(id, Status.Accepted);
        eq(provers.proverOf(ALICE).stake, BOND, "just the bond");
    }

    function test_declineIsFree() public {
        bytes32 id = _enterFor(0);
        uint256 stakeBefore = provers.proverOf(ALICE).stake;
        vm.expectEmit(true, true, false, true, address(tasks));
        emit TaskManager.TaskDeclined(id, ALICE);
        vm.prank(ALICE);
        tasks.decline(id);
        eq(tasks.taskOf(id).attempt, 2, "attempt");
        Prover memory p = provers.proverOf(ALICE);
        eq(p.stake, stakeBefore, "free");
        eq(p.offered, 0, "room");
        no(p.idle, "not idle");
    }

    /// @dev Whatever the seed, who declined is not drawn again while there is another.
    function test_declineGoesToAnotherProver() public {
        for (uint256 i = 0; i < 64; ++i) {
            bytes32 id = _enter(_taskOf(sha256(abi.encode("decline", i)), 1));
            address first = tasks.taskOf(id).prover;
            vm.prank(first);
            tasks.decline(id);
            eq(tasks.taskOf(id).prover, first == ALICE ? BOB : ALICE, "the other");
            vm.prank(OWNER);
            tasks.recall(id);
        }
    }

    /// @dev The other has no room: nobody is drawn, and whoever declined may still claim.
    function test_declinedTaskWaitsWhileAllOthersAreFull() public {
        vm.prank(BOB);
        provers.setCapacity(1);
        vm.prank(address(tasks));
        provers.takeWaiting(BOB, PROJECT);
        bytes32 id = _enter(_task(0));
        eq(tasks.taskOf(id).prover, ALICE, "alice has room");
        vm.prank(ALICE);
        tasks.decline(id);
        _is(id, Status.Waiting);
        vm.prank(ALICE);
        tasks.claim(id);
        _is(id, Status.Accepted);
    }

    function test_declineByTheOnlyProverOffersItAgain() public {
        vm.prank(BOB);
        provers.pause();
        bytes32 id = _enter(_task(0));
        vm.prank(ALICE);
        tasks.decline(id);
        eq(tasks.taskOf(id).prover, ALICE, "again");
        eq(tasks.taskOf(id).attempt, 2, "counted");
    }

    /// @dev Also the silent and the late one are passed over, should they be back already when the draw is made.
    function test_movedOnTasksGoToAnotherProver() public {
        for (uint256 i = 0; i < 16; ++i) {
            bytes32 id = _enter(_taskOf(sha256(abi.encode("silent", i)), 1));
            address first = tasks.taskOf(id).prover;
            address second = first == ALICE ? BOB : ALICE;
            vm.warp(block.timestamp + ACCEPT_WINDOW + 1);
            tasks.advance(id);
            eq(tasks.taskOf(id).prover, second, "advance");
            vm.prank(first);
            provers.resume();
            vm.prank(second);
            tasks.accept(_ids(id));
            vm.warp(block.timestamp + PROVE_WINDOW + 1);
            tasks.reassign(id);
            eq(tasks.taskOf(id).prover, first, "reassign");
            vm.prank(second);
            provers.resume();
            vm.prank(second);
            provers.stake{value: BOND}();
            vm.prank(OWNER);
            tasks.recall(id);
        }
    }

    /// @dev A claim counts among the eight as an offer does; waiting does not.
    function test_claimsCountAmongTheOffers() public {
        vm.prank(ALICE);
        provers.pause();
        vm.prank(BOB);
        provers.pause();
        bytes32 id = _enter(_task(0));
        eq(tasks.taskOf(id).attempt, 0, "nothing offered");
        for (uint8 i = 1; i <= 8; ++i) {
            _is(id, Status.Waiting);
            vm.startPrank(ALICE);
            provers.resume();
            tasks.claim(id);
            vm.stopPrank();
            eq(tasks.taskOf(id).attempt, i, "attempt");
            vm.warp(block.timestamp + PROVE_WINDOW + 1);
            tasks.reassign(id);
        }
        _is(id, Status.Dead);
    }

    function test_aTaskDiesAfterEightOffers() public {
        bytes32 id = _enter(_task(0));
        for (uint8 i = 1; i < 8; ++i) {
            Record memory r = tasks.taskOf(id);
            eq(r.attempt, i, "attempt");
            vm.prank(r.prover);
            tasks.decline(id);
        }
        address last = tasks.taskOf(id).prover;
        vm.expectEmit(true, false, false, true, address(tasks));
        emit TaskManager.TaskDead(id, uint8(DeadReason.OffersExhausted));
        vm.prank(last);
        tasks.decline(id);
        _is(id, Status.Dead);
        eq(provers.proverOf(ALICE).offered, 0, "alice");
        eq(provers.proverOf(BOB).offered, 0, "bob");
    }

    function test_advanceMarksTheSilentProverIdle() public {
        bytes32 id = _enterFor(0);
        vm.expectRevert(
            abi.encodeWithSelector(TaskManager.OfferStillOpen.selector, id, uint64(block.timestamp) + ACCEPT_WINDOW)
        );
        tasks.advance(id);
        uint64 acceptBy = tasks.taskOf(id).acceptBy;
        vm.warp(acceptBy);
        vm.expectRevert(abi.encodeWithSelector(TaskManager.OfferStillOpen.selector, id, acceptBy));
        tasks.advance(id);
        vm.warp(block.timestamp + 1);
        vm.expectEmit(true, true, false, true, address(tasks));
        emit TaskManager.OfferMissed(id, ALICE);
        tasks.advance(id);
        yes(provers.proverOf(ALICE).idle, "idle");
        eq(tasks.taskOf(id).prover, BOB, "next");
        eq(provers.proverOf(ALICE).stake, STAKE, "no harm");

        // Idle provers are not drawn; both idle leaves the task waiting, and a returning one claims it.
        vm.warp(block.timestamp + ACCEPT_WINDOW + 1);
        tasks.advance(id);
        _is(id, Status.Waiting);
        vm.startPrank(ALICE);
        provers.resume();
        tasks.claim(id);
        vm.stopPrank();
        _is(id, Status.Accepted);
    }

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
