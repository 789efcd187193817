// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Escrow} from "../src/Escrow.sol";
import {ProverRegistry} from "../src/ProverRegistry.sol";
import {TaskManager} from "../src/TaskManager.sol";
import {DeadReason, Prover, Record, Status} from "../src/Types.sol";
import {Deployed} from "./Deployed.sol";
import {vm} from "./Vm.sol";

/// @dev Offers: accepting, declining, and how often a task is offered.
contract TaskOfferTest is Deployed {
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
}
