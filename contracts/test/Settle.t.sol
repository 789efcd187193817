// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Groth16Verifier} from "../src/Groth16Verifier.sol";
import {TaskManager} from "../src/TaskManager.sol";
import {Record, Status, Task, Version, SCALAR_MODULUS} from "../src/Types.sol";
import {MeterTotals} from "../src/samples/MeterTotals.sol";
import {BombDapp, HungryDapp, ReentrantDapp} from "./Dapps.sol";
import {Deployed} from "./Deployed.sol";
import {Vm, vm} from "./Vm.sol";

/// @dev Settlement with real proofs: what passes, what is refused, who is paid, and the dApp.
contract SettleTest is Deployed {
    function test_fromTheBlockToThePayment() public {
        vm.prank(BOB);
        provers.pause();
        _mint(_one(_task(0)));
        bytes32 id = proven[0].taskId;
        eq(tasks.taskOf(id).prover, ALICE, "the fixture's id is the block's");
        vm.prank(ALICE);
        tasks.accept(_ids(id));
        _settle(0);

        _is(id, Status.Settled);
        eq(escrow.owed(address(token), _beneficiaryOf(ALICE)), REWARD * 85 / 100, "prover");
        eq(escrow.owed(address(token), sequencer), REWARD * 10 / 100, "sequencer");
        eq(escrow.owed(address(token), TREASURY), REWARD * 5 / 100, "protocol");
        eq(escrow.withheldOf(PROJECT, address(token)), 0, "withheld");
        eq(provers.proverOf(ALICE).used, 0, "capacity");
        MeterTotals.Totals memory totals = dapp.totalsOf(PROJECT);
        eq(totals.tasks, 1, "tasks");
        eq(totals.readings, 2, "readings");
        eq(totals.energy, 1000, "energy");

        vm.prank(_beneficiaryOf(ALICE));
        escrow.claim(address(token), ALICE);
        eq(token.balanceOf(ALICE), REWARD * 85 / 100, "claimed");
    }

    function test_eventsComeInOrder() public {
        bytes32 id = _accepted(0);
        vm.recordLogs();
        _settle(0);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        // three payments, settled, the dApp's own event, the call's outcome
        eq(logs.length, 6, "events");
        eq(logs[3].topics[0], TaskManager.TaskSettled.selector, "settled after the credits");
        eq(logs[3].topics[1], id, "id");
        (uint256[] memory proof, uint256[] memory outputs, uint256 a, uint256 b, uint256 c) =
            abi.decode(logs[3].data, (uint256[], uint256[], uint256, uint256, uint256));
        eq(keccak256(abi.encode(proof)), keccak256(abi.encode(proven[0].proof)), "proof");
        eq(keccak256(abi.encode(outputs)), keccak256(abi.encode(proven[0].outputs)), "outputs");
        eq(a + b + c, REWARD, "all of it");
        eq(logs[4].emitter, address(dapp), "then the dApp");
        eq(logs[5].topics[0], TaskManager.DappCalled.selector, "and its outcome");
        yes(abi.decode(logs[5].data, (bool)), "ok");
    }

    function test_settlesOnce() public {
        bytes32 id = _accepted(0);
        _settle(0);
        vm.expectRevert(abi.encodeWithSelector(TaskManager.NotAssigned.selector, id, ALICE));
        _settle(0);
    }

    // ---- proofs that do not hold

    function test_revertsOnTheProofOfAnotherTask() public {
        bytes32 id = _accepted(0);
        bytes32 other = _accepted(3);
        _refusedBy(ALICE, id, proven[3].proof, proven[3].outputs);
        _refusedBy(ALICE, other, proven[0].proof, proven[0].outputs);
        // The next good ones go through: each proof for its own task.
        _settle(0);
        _settle(3);
        _is(id, Status.Settled);
        _is(other, Status.Settled);
    }

    function test_revertsOnOtherOutputs() public {
        bytes32 id = _accepted(0);
        _refusedBy(ALICE, id, proven[0].proof, proven[2].outputs);
        // Each proof holds for its own outputs only.
        _refusedBy(ALICE, id, proven[2].proof, proven[0].outputs);
        for (uint256 i = 0; i < 4; ++i) {
            uint256[] memory outputs = proven[0].outputs;
            outputs[i] += 1;
            _refusedBy(ALICE, id, proven[0].proof, outputs);
        }
        _settle(0);
    }

    function test_revertsOnOtherData() public {
        // The same body hash, but a commitment to other messages: the proof is of another batch.
        Task memory t = _taskOf(proven[0].dataHash, proven[0].dataCommitment + 1);
        vm.prank(BOB);
        provers.pause();
        bytes32 id = _enter(t);
        eq(id, proven[0].taskId, "same id");
        vm.prank(ALICE);
        tasks.accept(_ids(id));
        _refusedBy(ALICE, id, proven[0].proof, proven[0].outputs);
        // The next good one goes through: another task, whose data the proof is of.
        bytes32 next = _enter(_task(3));
        vm.prank(ALICE);
        tasks.accept(_ids(next));
        _settle(3);
        _is(next, Status.Settled);
        _is(id, Status.Accepted);
    }

    function test_aCopiedProofIsWorthless() public {
        // Bob is assigned and sends the proof that Alice made for the same task.
        bytes32 id = _accepted(1);
        _refusedBy(BOB, id, proven[0].proof, proven[0].outputs);
        // An onlooker copies a pending settlement.
        vm.prank(OUTSIDER);
        vm.expectRevert(abi.encodeWithSelector(TaskManager.NotAssigned.selector, id, OUTSIDER));
        tasks.settle(id, proven[1].proof, proven[1].outputs);
        _settle(1);
    }

    function test_revertsOnMalformedProofs() public {
        bytes32 id = _accepted(0);
        for (uint256 i = 0; i < 8; ++i) {
            uint256[] memory proof = proven[0].proof;
            proof[i] ^= 1;
            _refusedBy(ALICE, id, proof, proven[0].outputs);
            proof[i] = type(uint256).max;
            _refusedBy(ALICE, id, proof, proven[0].outputs);
        }
        uint256[] memory zero = new uint256[](8);
        _refusedBy(ALICE, id, zero, proven[0].outputs);
        _settle(0);
    }

    function test_revertsOnOutputsOutOfShape() public {
        bytes32 id = _accepted(0);
        vm.startPrank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(TaskManager.WrongOutputCount.selector, 3, 4));
        tasks.settle(id, proven[0].proof, new uint256[](3));
        vm.expectRevert(abi.encodeWithSelector(TaskManager.WrongOutputCount.selector, 5, 4));
        tasks.settle(id, proven[0].proof, new uint256[](5));
        // The same number modulo r is another input: refused rather than reduced.
        uint256[] memory outputs = proven[0].outputs;
        outputs[1] += SCALAR_MODULUS;
        vm.expectRevert(abi.encodeWithSelector(Groth16Verifier.InputNotInField.selector, 3, outputs[1]));
        tasks.settle(id, proven[0].proof, outputs);
        vm.stopPrank();
    }

    function test_revertsBeforeAcceptance() public {
        bytes32 id = _enterFor(0);
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(TaskManager.NotAssigned.selector, id, ALICE));
        tasks.settle(id, proven[0].proof, proven[0].outputs);
        vm.prank(address(0));
        vm.expectRevert(abi.encodeWithSelector(TaskManager.NotAssigned.selector, bytes32(0), address(0)));
        tasks.settle(0, proven[0].proof, proven[0].outputs);
    }

    // ---- the dApp

    function test_failingDappIsRecordedAndPaysAllTheSame() public {
        _useDapp(address(new BombDapp()), DAPP_GAS);
        _accepted(0);
        vm.expectEmit(true, false, false, true, address(tasks));
        emit TaskManager.DappCalled(proven[0].taskId, false);
        _settle(0);
        eq(escrow.owed(address(token), _beneficiaryOf(ALICE)), REWARD * 85 / 100, "paid");
    }

    function test_dappCannotReenter() public {
        ReentrantDapp evil = new ReentrantDapp(tasks);
        evil.arm(proven[0].proof);
        _useDapp(address(evil), 2_000_000);
        _accepted(0);
        _settle(0);
        yes(evil.failed(), "refused");
        eq(escrow.owed(address(token), _beneficiaryOf(ALICE)), REWARD * 85 / 100, "paid once");
    }

    function test_projectWithoutDappSettles() public {
        _useDapp(address(0), 0);
        _accepted(0);
        _settle(0);
        _is(proven[0].taskId, Status.Settled);
    }

    /// @dev Whatever gas the prover sends, the callback gets all it was promised or nothing happens at all.
    function test_gasCannotMakeTheDappFail() public {
        uint32 promised = 300_000;
        // With its first write to storage it needs nearly all of that.
        HungryDapp hungry = new HungryDapp(promised - 23_000);
        _useDapp(address(hungry), promised);
        bytes32 id = _accepted(0);
        Proven memory p = proven[0];
        bytes memory data = abi.encodeCall(TaskManager.settle, (id, p.proof, p.outputs));
        uint256 settled = 0;
        uint256 reverted = 0;
        for (uint256 limit = 550_000; limit < 850_000; limit += 997) {
            uint256 snapshot = vm.snapshotState();
            vm.prank(ALICE);
            (bool ok,) = address(tasks).call{gas: limit}(data);
            if (ok) {
                ++settled;
                eq(hungry.calls(), 1, "settled with a starved dApp");
            } else {
                ++reverted;
                _is(id, Status.Accepted);
            }
            vm.revertToState(snapshot);
        }
        yes(settled > 5 && reverted > 5, "both sides of the limit were tried");
    }

    function test_tooLittleGasForTheDappIsSaid() public {
        _useDapp(address(new HungryDapp(1)), 4_000_000);
        bytes32 id = _accepted(0);
        Proven memory p = proven[0];
        bytes memory data = abi.encodeCall(TaskManager.settle, (id, p.proof, p.outputs));
        vm.prank(ALICE);
        (bool ok, bytes memory reason) = address(tasks).call{gas: 2_000_000}(data);
        no(ok, "too little");
        eq(bytes32(bytes4(reason)), bytes32(TaskManager.GasTooLow.selector), "said");
    }

    function test_onlyTheTaskManagerReportsToTheSample() public {
        vm.prank(OUTSIDER);
        vm.expectRevert(abi.encodeWithSelector(MeterTotals.NotTaskManager.selector, OUTSIDER));
        dapp.onSettled(PROJECT, bytes32(0), 1, new uint256[](4));
        vm.prank(address(tasks));
        vm.expectRevert(MeterTotals.NoTotal.selector);
        dapp.onSettled(PROJECT, bytes32(0), 1, new uint256[](0));
    }

    /// @dev Makes version 2 with that dApp the one that tasks name.
    function _useDapp(address dapp_, uint32 gas_) private {
        Version memory v = _version();
        v.dapp = dapp_;
        v.dappGas = gas_;
        vm.prank(OWNER);
        currentVersion = projects.addVersion(PROJECT, v);
    }

    function _refusedBy(address prover, bytes32 id, uint256[] memory proof, uint256[] memory outputs) private {
        vm.prank(prover);
        vm.expectRevert(abi.encodeWithSelector(TaskManager.InvalidProof.selector, id));
        tasks.settle(id, proof, outputs);
    }
}
