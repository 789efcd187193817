// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ProverRegistry} from "../src/ProverRegistry.sol";
import {Prover, Status} from "../src/Types.sol";
import {Deployed} from "./Deployed.sol";
import {Vectors, vm} from "./Vm.sol";

contract ProverRegistryTest is Deployed {
    using Vectors for Vectors.Cursor;

    address private constant CAROL = address(0xca01);

    mapping(address => uint256) private drawnCount;

    function test_joinChecks() public {
        vm.deal(CAROL, 100 ether);
        vm.startPrank(CAROL);
        vm.expectRevert(abi.encodeWithSelector(ProverRegistry.StakeTooLow.selector, STAKE - 1, STAKE));
        provers.join{value: STAKE - 1}(CAROL, 1);
        vm.expectRevert(ProverRegistry.ZeroAddress.selector);
        provers.join{value: STAKE}(address(0), 1);
        vm.expectRevert(ProverRegistry.ZeroCapacity.selector);
        provers.join{value: STAKE}(CAROL, 0);
        provers.join{value: STAKE}(CAROL, 3);
        vm.expectRevert(abi.encodeWithSelector(ProverRegistry.AlreadyJoined.selector, CAROL));
        provers.join{value: STAKE}(CAROL, 3);
        vm.stopPrank();
        Prover memory p = provers.proverOf(CAROL);
        eq(p.stake, STAKE, "stake");
        eq(p.capacity, 3, "capacity");
        eq(p.joined, block.timestamp, "joined");
    }

    function test_strangersCanDoNothing() public {
        bytes memory reason = abi.encodeWithSelector(ProverRegistry.NotJoined.selector, OUTSIDER);
        vm.deal(OUTSIDER, 1 ether);
        vm.startPrank(OUTSIDER);
        vm.expectRevert(reason);
        provers.stake{value: 1}();
        vm.expectRevert(reason);
        provers.unstake(0);
        vm.expectRevert(reason);
        provers.setCapacity(1);
        vm.expectRevert(reason);
        provers.optIn(PROJECT);
        vm.expectRevert(reason);
        provers.optOut(PROJECT);
        vm.expectRevert(reason);
        provers.pause();
        vm.expectRevert(reason);
        provers.resume();
        vm.expectRevert(reason);
        provers.setBeneficiary(OUTSIDER, OUTSIDER);
        vm.expectRevert(abi.encodeWithSelector(ProverRegistry.NothingOwed.selector, OUTSIDER));
        provers.claimBounty(OUTSIDER);
        vm.stopPrank();
    }

    function test_hooksAreTheTaskManagersAlone() public {
        bytes memory reason = abi.encodeWithSelector(ProverRegistry.NotTaskManager.selector, ALICE);
        vm.startPrank(ALICE);
        vm.expectRevert(reason);
        provers.draw(PROJECT, 0, address(0));
        vm.expectRevert(reason);
        provers.take(ALICE, 1);
        vm.expectRevert(reason);
        provers.takeWaiting(ALICE, PROJECT);
        vm.expectRevert(reason);
        provers.release(ALICE);
        vm.expectRevert(reason);
        provers.dropOffer(ALICE);
        vm.expectRevert(reason);
        provers.missOffer(BOB);
        vm.expectRevert(reason);
        provers.slash(BOB, ALICE);
        vm.stopPrank();
    }

    function test_stakeAndUnstakeGoToTheBeneficiary() public {
        vm.startPrank(ALICE);
        provers.stake{value: 5 ether}();
        eq(provers.proverOf(ALICE).stake, STAKE + 5 ether, "added");
        provers.unstake(5 ether);
        vm.expectRevert(abi.encodeWithSelector(ProverRegistry.StakeTooLow.selector, STAKE, STAKE + 1));
        provers.unstake(STAKE + 1);
        provers.unstake(STAKE);
        vm.stopPrank();
        eq(_beneficiaryOf(ALICE).balance, STAKE + 5 ether, "beneficiary");
    }

    function test_stakeStaysWhileTasksAreOpen() public {
        _accepted(0);
        vm.startPrank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(ProverRegistry.StakeTooLow.selector, STAKE, STAKE + BOND));
        provers.unstake(STAKE);
        provers.unstake(STAKE - BOND);
        vm.stopPrank();
        _settle(0);
        vm.prank(ALICE);
        provers.unstake(BOND);
    }

    function test_withoutStakeOneIsNotDrawnUntilItReturns() public {
        vm.prank(ALICE);
        provers.unstake(STAKE);
        for (uint256 i = 0; i < 3; ++i) {
            eq(_draw(i), BOB, "only bob");
        }
        eq(provers.activeCount(PROJECT), 1, "taken out when met");
        vm.prank(ALICE);
        provers.stake{value: STAKE}();
        eq(provers.activeCount(PROJECT), 2, "back");
    }

    function test_onlyTheBeneficiaryMovesTheMoneySide() public {
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(ProverRegistry.NotBeneficiary.selector, ALICE, ALICE));
        provers.setBeneficiary(ALICE, ALICE);
        vm.startPrank(_beneficiaryOf(ALICE));
        vm.expectRevert(ProverRegistry.ZeroAddress.selector);
        provers.setBeneficiary(ALICE, address(0));
        provers.setBeneficiary(ALICE, CAROL);
        vm.stopPrank();
        eq(provers.proverOf(ALICE).beneficiary, CAROL, "moved");
    }

    function test_optIns() public {
        vm.startPrank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(ProverRegistry.AlreadyOptedIn.selector, PROJECT, ALICE));
        provers.optIn(PROJECT);
        vm.expectRevert(abi.encodeWithSelector(ProverRegistry.UnknownProject.selector, 99));
        provers.optIn(99);
        vm.expectRevert(abi.encodeWithSelector(ProverRegistry.NotOptedIn.selector, 99, ALICE));
        provers.optOut(99);
        for (uint64 i = 2; i <= 32; ++i) {
            projects.create();
            provers.optIn(i);
        }
        projects.create();
        vm.expectRevert(abi.encodeWithSelector(ProverRegistry.TooManyOptIns.selector, 32));
        provers.optIn(33);
        eq(provers.optInsOf(ALICE).length, 32, "full");
        provers.optOut(7);
        no(provers.isOptedIn(7, ALICE), "out");
        eq(provers.optInsOf(ALICE).length, 31, "room again");
        provers.optIn(33);
        yes(provers.isOptedIn(33, ALICE), "in");
        vm.stopPrank();
    }

    function test_pausedProversAreNotDrawn() public {
        vm.prank(ALICE);
        provers.pause();
        for (uint256 i = 0; i < 4; ++i) {
            eq(_draw(uint256(keccak256(abi.encode(i)))), BOB, "bob");
        }
        eq(_draw(0), address(0), "bob is full");
        vm.prank(ALICE);
        provers.resume();
        eq(_draw(0), ALICE, "alice is back");
    }

    function test_capacityBoundsOffers() public {
        vm.prank(ALICE);
        provers.setCapacity(1);
        vm.prank(ALICE);
        vm.expectRevert(ProverRegistry.ZeroCapacity.selector);
        provers.setCapacity(0);
        for (uint256 i = 0; i < 5; ++i) {
            yes(_draw(i) != address(0), "five in all");
        }
        eq(_draw(5), address(0), "full");
        eq(provers.proverOf(ALICE).offered, 1, "alice");
        eq(provers.proverOf(BOB).offered, 4, "bob");
    }

    function test_stakeBoundsOffersToo() public {
        vm.startPrank(ALICE);
        provers.setCapacity(1000);
        vm.stopPrank();
        vm.prank(BOB);
        provers.pause();
        for (uint256 i = 0; i < STAKE / BOND; ++i) {
            eq(_draw(i), ALICE, "bonded");
        }
        eq(_draw(0), address(0), "no bond left");
    }

    /// @dev Everyone is drawn about as often, whatever the order they joined in.
    function test_drawIsEven() public {
        uint256 n = 8;
        for (uint256 i = 2; i < n; ++i) {
            _join(address(uint160(0x1000 + i)), 1000);
        }
        vm.prank(ALICE);
        provers.setCapacity(1000);
        vm.prank(BOB);
        provers.setCapacity(1000);
        for (uint256 i = 0; i < 2000; ++i) {
            address drawn = _draw(uint256(keccak256(abi.encode("draw", i))));
            vm.prank(address(tasks));
            provers.dropOffer(drawn);
            ++drawnCount[drawn];
        }
        for (uint256 i = 2; i < n; ++i) {
            uint256 count = drawnCount[address(uint160(0x1000 + i))];
            yes(count > 180 && count < 320, "about 250");
        }
    }

    /// @dev The cost of a draw does not depend on how many take part, nor on how many of them went down.
    function test_drawCostIsBounded() public {
        for (uint256 i = 0; i < 60; ++i) {
            address p = address(uint160(0x2000 + i));
            _join(p, 1);
            vm.prank(p);
            provers.pause();
        }
        uint256 worst = 0;
        for (uint256 i = 0; i < 20; ++i) {
            uint256 before = gasleft();
            address drawn = _draw(uint256(keccak256(abi.encode(i))));
            uint256 used = before - gasleft();
            if (used > worst) worst = used;
            if (drawn != address(0)) {
                vm.prank(address(tasks));
                provers.dropOffer(drawn);
            }
        }
        yes(worst < 300_000, "bounded");
        eq(provers.activeCount(PROJECT), 2, "those that went down are gone");
    }

    function test_slashTakesAtMostTheStake() public {
        vm.startPrank(address(tasks));
        provers.takeWaiting(ALICE, PROJECT);
        provers.takeWaiting(ALICE, PROJECT);
        eq(provers.slash(ALICE, OUTSIDER), BOND, "bond");
        eq(provers.slash(ALICE, address(0)), BOND, "bond");
        vm.stopPrank();
        eq(provers.owed(OUTSIDER), BOND / 10, "bounty");
        eq(provers.owed(address(0)), 0, "burnt");
        vm.prank(OUTSIDER);
        vm.expectRevert(ProverRegistry.ZeroAddress.selector);
        provers.claimBounty(address(0));
        vm.prank(OUTSIDER);
        provers.claimBounty(OUTSIDER);
        eq(OUTSIDER.balance, BOND / 10, "paid");
        vm.prank(OUTSIDER);
        vm.expectRevert(abi.encodeWithSelector(ProverRegistry.NothingOwed.selector, OUTSIDER));
        provers.claimBounty(OUTSIDER);
    }

    function test_parametersAreChecked() public {
        vm.expectRevert(ProverRegistry.BadParams.selector);
        new ProverRegistry(registry, projects, 1, 0);
        vm.expectRevert(ProverRegistry.BadParams.selector);
        new ProverRegistry(registry, projects, 1, 2);
        // More than a stake can hold.
        vm.expectRevert(ProverRegistry.BadParams.selector);
        new ProverRegistry(registry, projects, uint256(type(uint128).max) + 1, 1);
        eq(new ProverRegistry(registry, projects, type(uint128).max, 1).minStake(), type(uint128).max, "the most");
    }

    function test_stakeIsBounded() public {
        uint256 most = type(uint128).max;
        vm.deal(ALICE, most);
        vm.startPrank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(ProverRegistry.StakeTooHigh.selector, most + 1));
        provers.stake{value: most - STAKE + 1}();
        provers.stake{value: most - STAKE}();
        vm.stopPrank();
        eq(provers.proverOf(ALICE).stake, most, "the most");
    }

    /// @dev The draw as docs/protocol.md has it, case by case: who is down, full or excepted, where it begins, who is drawn,
    /// and who is left in the list in which order.
    function test_drawVectors() public {
        Vectors.Cursor memory v = Vectors.open("draw.json");
        uint256 i = 0;
        for (; v.seek(i); ++i) {
            uint256 seed = uint256(v.word("seed"));
            bytes32 id = v.word("taskId");
            eq(uint256(keccak256(abi.encode(v.word("blockHash"), id, uint8(v.number("attempt"))))), seed, "seed");
            uint256 snapshot = vm.snapshotState();
            _drawCase(v, seed);
            vm.revertToState(snapshot);
        }
        yes(i >= 10, "vectors");
    }

    function _drawCase(Vectors.Cursor memory v, uint256 seed) private {
        uint64 project = projects.create();
        address[] memory list = v.accounts("active");
        uint256[] memory rooms = v.numbers("room");
        uint256[] memory ups = v.numbers("up");
        for (uint256 j = 0; j < list.length; ++j) {
            vm.deal(list[j], STAKE);
            vm.startPrank(list[j]);
            provers.join{value: STAKE}(list[j], 1);
            provers.optIn(project);
            vm.stopPrank();
        }
        for (uint256 j = 0; j < list.length; ++j) {
            if (rooms[j] == 0) {
                vm.prank(address(tasks));
                provers.takeWaiting(list[j], project);
            }
            if (ups[j] == 0) {
                vm.prank(list[j]);
                provers.pause();
            }
        }
        vm.prank(address(tasks));
        address drawn = provers.draw(project, seed, v.account("except"));
        eq(drawn, v.account("drawn"), string.concat("drawn: ", v.text("name")));
        eq(provers.activeCount(project), v.number("left"), string.concat("left: ", v.text("name")));
    }

    /// @dev More provers than a draw looks at, all but one of them full: the task is offered to the one with room if it is
    /// among the places looked at, and else waits, to be claimed.
    function test_drawLooksAtEightPlaces() public {
        vm.prank(ALICE);
        provers.optOut(PROJECT);
        vm.prank(BOB);
        provers.optOut(PROJECT);
        uint256 n = 12;
        for (uint256 i = 0; i < n; ++i) {
            address p = address(uint160(0x3000 + i));
            _join(p, 1);
            if (i == n - 1) continue;
            vm.prank(address(tasks));
            provers.takeWaiting(p, PROJECT);
        }
        address free = address(uint160(0x3000 + n - 1));
        for (uint256 start = 0; start < n; ++start) {
            address drawn = _draw(start);
            // From place 4 on the last place is among the eight.
            eq(drawn, start >= n - 8 ? free : address(0), "eight places");
            if (drawn == address(0)) continue;
            vm.prank(address(tasks));
            provers.dropOffer(drawn);
        }
        // A task that meets only full ones waits, and the one with room may claim it.
        uint256 waiting = 0;
        for (uint256 i = 0; i < 24; ++i) {
            bytes32 id = _enter(_taskOf(sha256(abi.encode("full", i)), 1));
            if (tasks.taskOf(id).prover == free) {
                vm.prank(OWNER);
                tasks.recall(id);
                continue;
            }
            ++waiting;
            eq(uint256(tasks.taskOf(id).status), uint256(Status.Waiting), "waits");
            if (waiting > 1) continue;
            vm.prank(free);
            tasks.claim(id);
            eq(tasks.taskOf(id).prover, free, "claimed");
            vm.warp(block.timestamp + PROVE_WINDOW + 1);
            tasks.reassign(id);
            vm.prank(free);
            provers.resume();
            vm.prank(free);
            provers.stake{value: BOND}();
        }
        yes(waiting > 0 && waiting < 24, "both were met");
    }

    function _draw(uint256 seed) private returns (address) {
        vm.prank(address(tasks));
        return provers.draw(PROJECT, seed, address(0));
    }
}
