// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BlockMinter} from "../src/BlockMinter.sol";
import {DeviceRegistry} from "../src/DeviceRegistry.sol";
import {Escrow} from "../src/Escrow.sol";
import {Groth16Verifier} from "../src/Groth16Verifier.sol";
import {ProjectRegistry} from "../src/ProjectRegistry.sol";
import {ProverRegistry} from "../src/ProverRegistry.sol";
import {Registry} from "../src/Registry.sol";
import {RewardPool} from "../src/RewardPool.sol";
import {TaskManager} from "../src/TaskManager.sol";
import {SequencerRegistry} from "../src/SequencerRegistry.sol";
import {MinterParams, Parts, SkipReason, Status, Task, Version} from "../src/Types.sol";
import {VerifyingKeys} from "../src/VerifyingKeys.sol";
import {MeterTotals} from "../src/samples/MeterTotals.sol";
import {Asert} from "../src/libraries/Asert.sol";
import {Compact} from "../src/libraries/Compact.sol";
import {HungryDapp} from "./Dapps.sol";
import {Deployed} from "./Deployed.sol";
import {SilentToken, TaxedToken} from "./Tokens.sol";
import {Vm, vm} from "./Vm.sol";

/// @dev One attack per hole that was found in W3bstream's contracts (C1 to C16), each tried here and failing.
contract W3bstreamHolesTest is Deployed {
    /// @dev C1: one signature of a payer was good for any task, project, chain and contract.
    function test_C01_anAuthorisationCannotBeReplayed() public {
        Task memory signed = _task(0);
        _accepted(0);
        _settle(0);
        uint256 free = escrow.freeOf(PROJECT, address(token));

        // For the same task again, also with another parent block.
        _skipped(signed, BLOCK, SkipReason.DuplicateData);
        // For an invented one.
        Task memory invented = _task(3);
        invented.signature = signed.signature;
        _skipped(invented, BLOCK, SkipReason.BadAuthorisation);
        // For another project of the same sequencer.
        vm.startPrank(OWNER);
        uint64 other = projects.create();
        projects.addVersion(other, _version());
        projects.setSequencer(other, sequencer, true);
        vm.stopPrank();
        Task memory moved = _task(0);
        moved.project = other;
        moved.signature = signed.signature;
        _skipped(moved, BLOCK, SkipReason.BadAuthorisation);
        eq(escrow.freeOf(PROJECT, address(token)), free, "nothing drained");

        // On another deployment, with a project of the same number that trusts the same sequencer: the digest names the
        // registry and the chain.
        Elsewhere elsewhere = new Elsewhere();
        elsewhere.open(key, _version(), sequencer, _params());
        bytes32 id = elsewhere.enter(signed);
        eq(uint256(elsewhere.tasks().taskOf(id).status), uint256(Status.None), "skipped there");
        eq(elsewhere.skippedFor(), uint256(SkipReason.BadAuthorisation), "for its authorisation");
        // It was only that: signed for there, it is taken there.
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(SEQUENCER_KEY, elsewhere.tasks().authorisationDigest(signed));
        signed.signature = abi.encodePacked(r, s, v);
        id = elsewhere.enter(signed);
        eq(uint256(elsewhere.tasks().taskOf(id).status), uint256(Status.Waiting), "taken there");
    }

    /// @dev C2: a block number compared with a time let anyone take an assigned task before its deadline.
    function test_C02_anAssignedTaskCannotBeTaken() public {
        bytes32 id = _accepted(0);
        vm.roll(block.number + 1_000_000);
        vm.startPrank(BOB);
        vm.expectRevert(abi.encodeWithSelector(TaskManager.NotWaiting.selector, id));
        tasks.claim(id);
        vm.expectRevert(abi.encodeWithSelector(TaskManager.NotOffered.selector, id, BOB));
        tasks.accept(_ids(id));
        vm.expectRevert(abi.encodeWithSelector(TaskManager.DeadlineNotPassed.selector, id, tasks.taskOf(id).deadline));
        tasks.reassign(id);
        vm.expectRevert(abi.encodeWithSelector(TaskManager.NotAssigned.selector, id, BOB));
        tasks.settle(id, proven[1].proof, proven[1].outputs);
        vm.stopPrank();
        _settle(0);
    }

    /// @dev C3: recall kept its claim and could be repeated until all of a project's withheld money was out.
    function test_C03_recallRefundsOnceAndTouchesNoOtherTask() public {
        bytes32 late = _accepted(0);
        vm.warp(block.timestamp + PROVE_WINDOW + RECALL_GRACE + 1);
        vm.prank(ALICE);
        provers.resume();
        _accepted(3);
        uint256 free = escrow.freeOf(PROJECT, address(token));
        vm.startPrank(OWNER);
        tasks.recall(late);
        vm.expectRevert(abi.encodeWithSelector(TaskManager.NotRecallable.selector, late, Status.Recalled));
        tasks.recall(late);
        vm.stopPrank();
        eq(escrow.freeOf(PROJECT, address(token)), free + REWARD, "one refund");
        eq(escrow.withheldOf(PROJECT, address(token)), REWARD, "the live task keeps its money");
        _settle(3);
    }

    /// @dev C4: crediting was open to all.
    function test_C04_nobodyCreditsThemselves() public {
        vm.startPrank(OUTSIDER);
        vm.expectRevert(abi.encodeWithSelector(RewardPool.NotMinter.selector, OUTSIDER));
        rewards.credit(OUTSIDER);
        vm.expectRevert(abi.encodeWithSelector(Escrow.NotTaskManager.selector, OUTSIDER));
        escrow.settle(0, PROJECT, address(token), REWARD, 0, OUTSIDER, OUTSIDER);
        vm.expectRevert(abi.encodeWithSelector(TaskManager.NotMinter.selector, OUTSIDER));
        tasks.enter(new bytes32[](0), new Task[](0), BLOCK, 1, OUTSIDER);
        vm.expectRevert(abi.encodeWithSelector(ProverRegistry.NotTaskManager.selector, OUTSIDER));
        provers.slash(ALICE, OUTSIDER);
        vm.stopPrank();
    }

    /// @dev C5: blocks without work, many in one transaction, and a beneficiary that re-enters, emptied the pool.
    function test_C05_blocksCostWorkAndPayOnce() public {
        Task[] memory none;
        Greedy greedy = new Greedy(minter, rewards);
        (bytes32 parent,,) = minter.tip();
        bytes memory coinbase =
            _coinbaseOf(address(minter), address(greedy), address(greedy), 1, 0, hex"0000000000000001");
        bytes memory header = _headerOf(0x20000000, parent, _root(coinbase, none, parent), GENESIS + 1, BITS);
        vm.expectPartialRevert(BlockMinter.NotEnoughWork.selector);
        greedy.mint(header, coinbase);

        _work(header);
        uint256 pool = address(rewards).balance;
        greedy.mint(header, coinbase);
        eq(address(rewards).balance, pool, "minting moves no coin");
        // Claiming calls it back: it mints and claims again from there, and gets nothing more.
        greedy.claim();
        eq(address(greedy).balance, BLOCK_REWARD, "one reward");
        eq(address(rewards).balance, pool - BLOCK_REWARD, "the rest stays");
        yes(greedy.calledBack(), "it tried");
    }

    /// @dev C6: difficulty was computed from the wrong numbers, underflowed, and fell when blocks came fast. The deployed
    /// minter asks for more after every early block, takes no block with the easier bits of before, and comes back to the
    /// limit, and not past it, after a pause of years.
    function test_C06_theMinterFollowsTheClock() public {
        Task[] memory none;
        uint256 last = Compact.toTarget(minter.nextBits());
        vm.warp(GENESIS + 10);
        for (uint32 i = 1; i <= 3; ++i) {
            (bytes32 parent, uint64 height,) = minter.tip();
            uint32 bits = minter.nextBits();
            bytes memory coinbase = _coinbase(height + 1, 0);
            bytes32 root = _root(coinbase, none, parent);
            bytes memory header = _headerOf(0x20000000, parent, root, GENESIS + i, bits);
            if (bits != BITS) {
                bytes memory easy = _headerOf(0x20000000, parent, root, GENESIS + i, BITS);
                _work(easy);
                vm.prank(OPERATOR);
                vm.expectRevert(abi.encodeWithSelector(BlockMinter.WrongBits.selector, bits, BITS));
                minter.mint(easy, coinbase, none);
            }
            _work(header);
            vm.prank(OPERATOR);
            minter.mint(header, coinbase, none);
            uint256 target = Compact.toTarget(minter.nextBits());
            yes(target < last && target > 0, "harder, never underflowing");
            last = target;
        }
        (bytes32 tip, uint64 at,) = minter.tip();
        uint32 later = GENESIS + 3650 days;
        vm.warp(later);
        bytes memory late = _coinbase(at + 1, 0);
        bytes memory head = _headerOf(0x20000000, tip, _root(late, none, tip), later, minter.nextBits());
        _work(head);
        vm.prank(OPERATOR);
        minter.mint(head, late, none);
        eq(minter.nextBits(), BITS, "limit");
    }

    /// @dev C6 over a long run, in the library alone.
    function test_C06_difficultyNeverUnderflows() public pure {
        uint256 limit = Compact.toTarget(BITS);
        uint256 last = type(uint256).max;
        // Blocks that keep coming early: every one is harder than the one before, over a thousand of them.
        for (uint256 i = 1; i <= 1000; ++i) {
            uint32 bits = Asert.nextBits(0x1e0fffff, int256(10 + i * 5), int256(i), 10, 300, limit);
            uint256 target = Compact.toTarget(bits);
            yes(target <= last && target > 0, "harder, never underflowing");
            last = target;
        }
        // A pause of years brings it back to the limit, not past it.
        eq(Asert.nextBits(0x1e0fffff, 365 days, 1000, 10, 300, limit), BITS, "limit");
    }

    /// @dev C7: an empty distributor, or a beneficiary that refuses money, stopped every block.
    function test_C07_moneyNeverStopsMining() public {
        vm.deal(address(rewards), 0);
        Task[] memory none;
        _mint(none);
        Refuser refuser = new Refuser();
        (bytes32 parent, uint64 height, uint32 time) = minter.tip();
        bytes memory coinbase =
            _coinbaseOf(address(minter), OPERATOR, address(refuser), height + 1, 0, hex"0000000000000001");
        bytes memory header = _headerOf(0x20000000, parent, _root(coinbase, none, parent), time + 10, minter.nextBits());
        _work(header);
        vm.warp(time + 10);
        vm.deal(address(rewards), 10 ether);
        vm.prank(OPERATOR);
        minter.mint(header, coinbase, none);
        eq(rewards.owed(address(refuser)), BLOCK_REWARD, "owed, not sent");
    }

    /// @dev C8: one bad assignment reverted the whole block.
    function test_C08_aBadTaskIsSkippedAndTheBlockStands() public {
        Task[] memory list = new Task[](6);
        for (uint256 i = 0; i < 6; ++i) {
            list[i] = _taskOf(sha256(abi.encode(i)), i);
        }
        list[0].version = 9;
        list[1].signature = hex"00";
        list[2].count = 0;
        list[3].size = type(uint32).max;
        list[4].dataCommitment = type(uint256).max;
        bytes32 genesis = minter.hashAt(0);
        _mint(list);
        for (uint256 i = 0; i < 5; ++i) {
            _is(_taskId(list[i], genesis), Status.None);
        }
        _is(_taskId(list[5], genesis), Status.Offered);
    }

    /// @dev C9: the work did not commit to the tasks, so they could be swapped after mining.
    function test_C09_theWorkCommitsToTheTasks() public {
        (bytes memory header, bytes memory coinbase) = _mine(_one(_task(0)));
        vm.warp(GENESIS + 10);
        Task[] memory swapped = _one(_task(3));
        vm.prank(OPERATOR);
        vm.expectPartialRevert(BlockMinter.WrongRoot.selector);
        minter.mint(header, coinbase, swapped);
    }

    /// @dev C10: a prover that never registered could be assigned, and the reward went to nobody.
    function test_C10_onlyRegisteredProversAreAssigned() public {
        vm.prank(ALICE);
        provers.optOut(PROJECT);
        vm.prank(BOB);
        provers.optOut(PROJECT);
        bytes32 id = _enter(_task(0));
        _is(id, Status.Waiting);
        vm.startPrank(OUTSIDER);
        vm.expectRevert(abi.encodeWithSelector(ProverRegistry.NotEligible.selector, PROJECT, OUTSIDER));
        tasks.claim(id);
        vm.expectRevert(abi.encodeWithSelector(ProverRegistry.NotJoined.selector, OUTSIDER));
        provers.optIn(PROJECT);
        vm.stopPrank();
        // A beneficiary is required to join, so a reward always has an owner.
        vm.deal(OUTSIDER, STAKE);
        vm.prank(OUTSIDER);
        vm.expectRevert(ProverRegistry.ZeroAddress.selector);
        provers.join{value: STAKE}(address(0), 1);
    }

    /// @dev C11: anyone could register somebody else's project, which paused it.
    function test_C11_nobodyTouchesSomebodyElsesProject() public {
        vm.startPrank(OUTSIDER);
        uint64 own = projects.create();
        yes(own != PROJECT, "a new number");
        bytes memory reason = abi.encodeWithSelector(ProjectRegistry.NotProjectOwner.selector, PROJECT, OUTSIDER);
        vm.expectRevert(reason);
        projects.setPaused(PROJECT, true);
        vm.expectRevert(reason);
        projects.setSequencer(PROJECT, sequencer, false);
        vm.stopPrank();
        _is(_enter(_task(0)), Status.Offered);
    }

    /// @dev C12: projects that were never registered counted as not paused and were usable.
    function test_C12_aProjectWithoutVersionOrFundsIsNotUsable() public {
        Task memory t = _task(0);
        t.project = 77;
        _authorise(t, SEQUENCER_KEY);
        _skipped(t, BLOCK, SkipReason.UnknownVersion);
        vm.startPrank(OUTSIDER);
        t.project = projects.create();
        vm.stopPrank();
        _authorise(t, SEQUENCER_KEY);
        _skipped(t, BLOCK, SkipReason.UnknownVersion);
        vm.startPrank(OUTSIDER);
        projects.addVersion(t.project, _version());
        projects.setSequencer(t.project, sequencer, true);
        vm.stopPrank();
        _skipped(t, BLOCK, SkipReason.InsufficientFunds);
    }

    /// @dev C13: the router hid a dApp's failure and a caller could cause it by sending too little gas.
    function test_C13_theDappGetsItsGasOrNothingHappens() public {
        HungryDapp hungry = new HungryDapp(150_000);
        Version memory v = _version();
        v.dapp = address(hungry);
        vm.prank(OWNER);
        currentVersion = projects.addVersion(PROJECT, v);
        bytes32 id = _accepted(0);
        Proven memory p = proven[0];
        bytes memory data = abi.encodeCall(TaskManager.settle, (id, p.proof, p.outputs));
        for (uint256 limit = 300_000; limit <= 900_000; limit += 25_000) {
            vm.prank(ALICE);
            (bool ok,) = address(tasks).call{gas: limit}(data);
            yes(ok == (hungry.calls() == 1), "together or not at all");
            if (ok) return;
        }
        yes(false, "never settled");
    }

    /// @dev C14: sample dApps were open to all, replayable, and took an address without code for a verifier.
    function test_C14_theSampleIsShutAndAVerifierIsCode() public {
        vm.prank(OUTSIDER);
        vm.expectRevert(abi.encodeWithSelector(MeterTotals.NotTaskManager.selector, OUTSIDER));
        dapp.onSettled(PROJECT, 0, 1, new uint256[](4));
        bytes32 id = _accepted(0);
        _settle(0);
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(TaskManager.NotAssigned.selector, id, ALICE));
        tasks.settle(id, proven[0].proof, proven[0].outputs);
        eq(dapp.totalsOf(PROJECT).tasks, 1, "once");

        // A key that nobody registered has no code: no version can name it, no proof verifies under it.
        Version memory v = _version();
        v.vkId = bytes32(uint256(uint160(OUTSIDER)));
        vm.prank(OWNER);
        vm.expectRevert(abi.encodeWithSelector(ProjectRegistry.UnknownKey.selector, v.vkId));
        projects.addVersion(PROJECT, v);
        vm.expectRevert(abi.encodeWithSelector(Groth16Verifier.UnknownKey.selector, v.vkId));
        verifier.verify(v.vkId, proven[0].proof, new uint256[](6));
    }

    /// @dev C15: a prover set its own terms right before assignment, had nothing at stake, and lost nothing by timing out.
    function test_C15_termsAreTheVersionsAndLatenessCosts() public {
        bytes32 id = _accepted(0);
        Version memory v = _version();
        v.sequencerShareBps = 5_000;
        vm.prank(OWNER);
        projects.addVersion(PROJECT, v);
        vm.warp(block.timestamp + PROVE_WINDOW + 1);
        tasks.reassign(id);
        eq(provers.proverOf(ALICE).stake, STAKE - BOND, "lost a bond");
        vm.prank(BOB);
        tasks.accept(_ids(id));
        _settle(1);
        eq(escrow.owed(address(token), sequencer), REWARD * SEQUENCER_BPS / 10_000, "the terms it was mined under");
    }

    /// @dev C16: tokens that return nothing reverted, tokens with a fee were over-credited, one key could upgrade it all.
    function test_C16_tokensAreTakenAsTheyAreAndNobodyUpgrades() public {
        SilentToken silent = new SilentToken();
        silent.mint(address(this), 10);
        silent.approve(address(escrow), 10);
        escrow.deposit(PROJECT, address(silent), 10);
        eq(escrow.freeOf(PROJECT, address(silent)), 10, "silent");
        TaxedToken taxed = new TaxedToken();
        taxed.mint(address(this), 100);
        taxed.approve(address(escrow), 100);
        escrow.deposit(PROJECT, address(taxed), 100);
        eq(escrow.freeOf(PROJECT, address(taxed)), taxed.balanceOf(address(escrow)), "taxed");

        // The deployer has no power left: the parts are sealed and none of them has an owner or is a proxy.
        vm.startPrank(DEPLOYER);
        _noOwnerNoProxy(address(registry));
        Parts memory p = _parts();
        address[10] memory all = [
            p.projects, p.devices, p.provers, p.sequencers, p.keys, p.verifier, p.minter, p.tasks, p.escrow, p.rewards
        ];
        for (uint256 i = 0; i < all.length; ++i) {
            _noOwnerNoProxy(all[i]);
        }
        vm.expectRevert(Registry.AlreadySealed.selector);
        registry.seal(p);
        vm.stopPrank();
    }

    /// @dev EIP-1967's slots of implementation, admin and beacon are empty, and nothing answers an owner's or a proxy's calls.
    function _noOwnerNoProxy(address part) private {
        string[3] memory slots = ["eip1967.proxy.implementation", "eip1967.proxy.admin", "eip1967.proxy.beacon"];
        for (uint256 i = 0; i < slots.length; ++i) {
            eq(vm.load(part, bytes32(uint256(keccak256(bytes(slots[i]))) - 1)), 0, slots[i]);
        }
        bytes[7] memory calls = [
            abi.encodeWithSignature("owner()"),
            abi.encodeWithSignature("admin()"),
            abi.encodeWithSignature("implementation()"),
            abi.encodeWithSignature("transferOwnership(address)", DEPLOYER),
            abi.encodeWithSignature("upgradeTo(address)", DEPLOYER),
            abi.encodeWithSignature("upgradeToAndCall(address,bytes)", DEPLOYER, ""),
            abi.encodeWithSignature("initialize(address)", DEPLOYER)
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            (bool ok,) = part.call(calls[i]);
            no(ok, string.concat("part ", vm.toString(uint160(part)), " answers call ", vm.toString(i)));
        }
    }

    function _skipped(Task memory t, bytes32 parent, SkipReason reason) private {
        bytes32 id = _taskId(t, parent);
        vm.expectEmit(true, false, false, true, address(tasks));
        emit TaskManager.TaskSkipped(id, uint8(reason));
        vm.prank(address(minter));
        tasks.enter(_ids(id), _one(t), BLOCK, 2, OPERATOR);
        _is(id, Status.None);
    }
}

/// @dev Another whole deployment on the same chain, whose task manager it hands tasks to as the minter does.
contract Elsewhere {
    Registry public registry = new Registry();
    TaskManager public tasks;
    ProjectRegistry private _projects;
    address private _minter;
    /// why the last task was skipped
    uint256 public skippedFor;

    function open(bytes calldata key, Version calldata version, address sequencer, MinterParams calldata params)
        external
    {
        VerifyingKeys keys = new VerifyingKeys();
        Groth16Verifier verifier = new Groth16Verifier(keys);
        _projects = new ProjectRegistry(keys, 1, 1);
        ProverRegistry provers = new ProverRegistry(registry, _projects, 1, 1);
        Escrow escrow = new Escrow(registry, _projects, address(0), 0);
        RewardPool rewards = new RewardPool(registry, 0);
        tasks = new TaskManager(registry, _projects, provers, escrow, verifier);
        _minter = address(new BlockMinter(registry, tasks, rewards, params));
        registry.seal(
            Parts({
                projects: address(_projects),
                devices: address(new DeviceRegistry(_projects)),
                provers: address(provers),
                sequencers: address(new SequencerRegistry()),
                keys: address(keys),
                verifier: address(verifier),
                minter: _minter,
                tasks: address(tasks),
                escrow: address(escrow),
                rewards: address(rewards)
            })
        );
        keys.register(key);
        uint64 project = _projects.create();
        Version memory v = version;
        // It pays nothing, so that no money is missing.
        (v.reward, v.rewardToken, v.dapp) = (0, address(0), address(0));
        _projects.addVersion(project, v);
        _projects.setSequencer(project, sequencer, true);
    }

    function enter(Task calldata t) external returns (bytes32 id) {
        id = keccak256(abi.encode(t));
        bytes32[] memory ids = new bytes32[](1);
        Task[] memory list = new Task[](1);
        (ids[0], list[0]) = (id, t);
        vm.recordLogs();
        vm.prank(_minter);
        tasks.enter(ids, list, id, 1, address(this));
        Vm.Log[] memory logs = vm.getRecordedLogs();
        skippedFor = 0;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] == TaskManager.TaskSkipped.selector) skippedFor = uint256(bytes32(logs[i].data));
        }
    }
}

/// @dev Mines for itself, and on being paid tries to mint the same block and to claim again.
contract Greedy {
    BlockMinter private immutable _minter;
    RewardPool private immutable _pool;
    bytes private _header;
    bytes private _coinbase;
    bool public calledBack;

    constructor(BlockMinter minter, RewardPool pool) {
        _minter = minter;
        _pool = pool;
    }

    function mint(bytes calldata header, bytes calldata coinbase) external {
        _minter.mint(header, coinbase, new Task[](0));
        (_header, _coinbase) = (header, coinbase);
    }

    function claim() external {
        _pool.claim(address(this));
    }

    receive() external payable {
        calledBack = true;
        try _minter.mint(_header, _coinbase, new Task[](0)) {} catch {}
        try _pool.claim(address(this)) {} catch {}
    }
}

/// @dev Takes no coin.
contract Refuser {}
