// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Escrow} from "../src/Escrow.sol";
import {ProverRegistry} from "../src/ProverRegistry.sol";
import {TaskManager} from "../src/TaskManager.sol";
import {Prover, Record, Status, Task, Version} from "../src/Types.sol";
import {Deployed} from "./Deployed.sol";
import {TaxedToken} from "./Tokens.sol";
import {vm} from "./Vm.sol";

/// @dev Random days in the life of a deployment: money in and out, tasks of two tokens entering, offered, accepted,
/// declined, missed, late, reassigned, recalled and settled (the verifier's answer is set here: proofs have their own
/// tests). After every step all the books must balance.
contract InvariantTest is Deployed {
    uint64 private constant SECOND = 2;

    TaxedToken private taxed;
    bytes32[] private ids;
    uint256 private entered;
    uint256 private bounties;
    uint256 private burnt;
    uint256 private recalledLate;
    mapping(Status => uint256) private ended;

    function setUp() public override {
        super.setUp();
        taxed = new TaxedToken();
        vm.startPrank(OWNER);
        projects.create();
        Version memory v = _version();
        (v.rewardToken, v.dapp) = (address(taxed), address(0));
        projects.addVersion(SECOND, v);
        projects.setSequencer(SECOND, sequencer, true);
        vm.stopPrank();
        vm.prank(ALICE);
        provers.optIn(SECOND);
        vm.prank(BOB);
        provers.optIn(SECOND);
        vm.deal(ALICE, 1_000_000 ether);
        vm.deal(BOB, 1_000_000 ether);
    }

    /// forge-config: default.fuzz.runs = 32
    function testFuzz_booksBalanceAfterEveryStep(uint256 seed) public {
        for (uint256 i = 0; i < 200; ++i) {
            seed = uint256(keccak256(abi.encode(seed, i)));
            _step(seed % 14, seed >> 8);
            _checkTokens();
            _checkProvers();
            _checkTasks();
        }
    }

    /// @dev The run above must really reach the ends it is about.
    function test_theRandomRunsReachEveryEnd() public {
        uint256 seed = 1;
        for (uint256 i = 0; i < 1500; ++i) {
            seed = uint256(keccak256(abi.encode(seed, i)));
            _step(seed % 14, seed >> 8);
        }
        _checkTokens();
        _checkProvers();
        _checkTasks();
        for (uint256 i = 0; i < ids.length; ++i) {
            ++ended[tasks.taskOf(ids[i]).status];
        }
        yes(ended[Status.Settled] > 5, "settled");
        yes(ended[Status.Recalled] > 5, "recalled");
        yes(ended[Status.Dead] > 0, "dead");
        yes(bounties > 2, "reassigned");
        yes(burnt > 0 && recalledLate > 0, "burnt");
    }

    // ---- steps; one that the rules refuse changes nothing

    function _step(uint256 kind, uint256 r) private {
        bytes32 id = _pick(kind, r);
        Record memory record = tasks.taskOf(id);
        address prover = r & 1 == 0 ? ALICE : BOB;
        if (kind == 0) return _deposit(r);
        if (kind == 1) return _withdraw(r);
        if (kind <= 4) return _enterOne(r);
        if (kind == 5) vm.warp(block.timestamp + r % (2 * PROVE_WINDOW));
        if (kind == 6) return _try(record.prover, address(tasks), abi.encodeCall(TaskManager.accept, (_ids(id))));
        if (kind == 7) return _try(prover, address(tasks), abi.encodeCall(TaskManager.claim, (id)));
        if (kind == 8) return _try(record.prover, address(tasks), abi.encodeCall(TaskManager.decline, (id)));
        if (kind == 9) return _try(OUTSIDER, address(tasks), abi.encodeCall(TaskManager.advance, (id)));
        if (kind == 10) return _reassign(id, record, r);
        if (kind == 11) return _recall(id, record);
        if (kind == 12) return _settleOne(id, record);
        if (kind == 13) return _prover(prover, r >> 1);
    }

    function _reassign(bytes32 id, Record memory record, uint256 r) private {
        address[3] memory callers = [OUTSIDER, OWNER, sequencer];
        address caller = callers[(r >> 70) % 3];
        uint256 before = provers.proverOf(record.prover).stake;
        if (!_try2(caller, address(tasks), abi.encodeCall(TaskManager.reassign, (id)))) return;
        ++bounties;
        uint256 slashed = before - provers.proverOf(record.prover).stake;
        burnt += slashed - (caller == OUTSIDER ? slashed / 10 : 0);
    }

    function _recall(bytes32 id, Record memory record) private {
        uint256 before = provers.proverOf(record.prover).stake;
        if (!_try2(OWNER, address(tasks), abi.encodeCall(TaskManager.recall, (id)))) return;
        uint256 slashed = before - provers.proverOf(record.prover).stake;
        if (slashed > 0) ++recalledLate;
        burnt += slashed;
    }

    /// @dev A task, most often one that the step can do something with.
    function _pick(uint256 kind, uint256 r) private view returns (bytes32) {
        if (ids.length == 0) return 0;
        Status wanted = Status.Offered;
        if (kind == 7) wanted = Status.Waiting;
        if (kind == 10 || kind == 12) wanted = Status.Accepted;
        if (kind == 11) wanted = Status((r >> 64) % 3 + 1);
        for (uint256 i = 0; i < 16; ++i) {
            bytes32 id = ids[(r + i) % ids.length];
            if (tasks.taskOf(id).status == wanted) return id;
        }
        return ids[r % ids.length];
    }

    function _deposit(uint256 r) private {
        uint256 amount = r % (5 * REWARD);
        if (amount < 10) return;
        if (r & (1 << 200) == 0) {
            _fund(amount);
        } else {
            taxed.mint(address(this), amount);
            taxed.approve(address(escrow), amount);
            escrow.deposit(SECOND, address(taxed), amount);
        }
    }

    function _withdraw(uint256 r) private {
        (uint64 project, address asset) = r & 1 == 0 ? (PROJECT, address(token)) : (SECOND, address(taxed));
        uint256 free = escrow.freeOf(project, asset);
        uint256 amount = (r >> 1) % (free + 2);
        _try(OWNER, address(escrow), abi.encodeCall(Escrow.withdraw, (project, asset, amount, OWNER)));
        address[4] memory accounts = [_beneficiaryOf(ALICE), _beneficiaryOf(BOB), sequencer, TREASURY];
        _try(accounts[(r >> 130) % 4], address(escrow), abi.encodeCall(Escrow.claim, (asset, OUTSIDER)));
    }

    function _enterOne(uint256 r) private {
        Task memory t = _taskOf(sha256(abi.encode(r & 1 == 0 ? entered++ : r % (entered + 1))), 1);
        if (r & 2 != 0) t.project = SECOND;
        t.expiry = type(uint64).max;
        _authorise(t, SEQUENCER_KEY);
        bytes32 id = _taskId(t, bytes32(r));
        vm.prank(address(minter));
        tasks.enter(_ids(id), _one(t), bytes32(r), 1, OPERATOR);
        if (tasks.taskOf(id).status != Status.None) ids.push(id);
    }

    function _settleOne(bytes32 id, Record memory record) private {
        uint256[] memory proof = new uint256[](8);
        vm.mockCall(address(verifier), abi.encodeWithSelector(verifier.verify.selector), abi.encode(true));
        _try(record.prover, address(tasks), abi.encodeCall(TaskManager.settle, (id, proof, new uint256[](4))));
        vm.clearMockedCalls();
    }

    function _prover(address who, uint256 r) private {
        uint256 kind = r % 12;
        if (kind == 0) _try(who, address(provers), abi.encodeCall(ProverRegistry.pause, ()));
        if (kind >= 1 && kind <= 2) _try(who, address(provers), abi.encodeCall(ProverRegistry.resume, ()));
        if (kind == 3) {
            vm.prank(who);
            provers.stake{value: 3 ether}();
        }
        if (kind == 4) _try(who, address(provers), abi.encodeCall(ProverRegistry.unstake, (r % STAKE)));
        if (kind == 5) _try(who, address(provers), abi.encodeCall(ProverRegistry.setCapacity, (uint32(r >> 8) % 6)));
        if (kind == 6) _try(who, address(provers), abi.encodeCall(ProverRegistry.optOut, (uint64((r >> 8) % 2 + 1))));
        if (kind >= 7) _try(who, address(provers), abi.encodeCall(ProverRegistry.optIn, (uint64((r >> 8) % 2 + 1))));
        _try(OUTSIDER, address(provers), abi.encodeCall(ProverRegistry.claimBounty, (OUTSIDER)));
    }

    function _try(address who, address target, bytes memory data) private {
        _try2(who, target, data);
    }

    function _try2(address who, address target, bytes memory data) private returns (bool ok) {
        vm.prank(who);
        (ok,) = target.call(data);
    }

    // ---- books

    /// @dev free + withheld + owed = held, for both tokens.
    function _checkTokens() private view {
        _checkToken(PROJECT, address(token), token.balanceOf(address(escrow)));
        _checkToken(SECOND, address(taxed), taxed.balanceOf(address(escrow)));
    }

    function _checkToken(uint64 project, address asset, uint256 held) private view {
        uint256 sum = escrow.freeOf(project, asset) + escrow.withheldOf(project, asset);
        address[5] memory accounts = [_beneficiaryOf(ALICE), _beneficiaryOf(BOB), sequencer, TREASURY, address(0)];
        for (uint256 i = 0; i < accounts.length; ++i) {
            sum += escrow.owed(asset, accounts[i]);
        }
        eq(sum, held, "free + withheld + owed = held");
    }

    /// @dev The registry holds every stake, every bounty and all that was burnt, to the wei, and each prover's bonds are
    /// covered.
    function _checkProvers() private view {
        Prover memory a = provers.proverOf(ALICE);
        Prover memory b = provers.proverOf(BOB);
        uint256 owed = provers.owed(OUTSIDER) + provers.owed(OWNER) + provers.owed(sequencer);
        eq(address(provers).balance, uint256(a.stake) + b.stake + owed + burnt, "stakes + bounties + burnt = held");
        eq(provers.owed(OWNER) + provers.owed(sequencer) + provers.owed(address(0)), 0, "never to the project's side");
        yes(a.stake >= a.used * BOND && b.stake >= b.used * BOND, "bonds");
    }

    /// @dev What is withheld is the sum over tasks, and provers' counters are the tasks' states.
    function _checkTasks() private view {
        uint256[3] memory withheld;
        uint256[2] memory used;
        uint256[2] memory offered;
        for (uint256 i = 0; i < ids.length; ++i) {
            Record memory r = tasks.taskOf(ids[i]);
            if (r.withheld) withheld[r.project] += REWARD;
            uint256 who = r.prover == ALICE ? 0 : 1;
            if (r.status == Status.Accepted) ++used[who];
            if (r.status == Status.Offered) ++offered[who];
            yes(r.withheld || r.status != Status.Accepted, "accepted without money");
            no(r.withheld && (r.status == Status.Settled || r.status > Status.Settled), "ended with money");
        }
        eq(withheld[PROJECT], escrow.withheldOf(PROJECT, address(token)), "withheld");
        eq(withheld[SECOND], escrow.withheldOf(SECOND, address(taxed)), "withheld");
        eq(used[0], provers.proverOf(ALICE).used, "used");
        eq(used[1], provers.proverOf(BOB).used, "used");
        eq(offered[0], provers.proverOf(ALICE).offered, "offered");
        eq(offered[1], provers.proverOf(BOB).offered, "offered");
    }
}
