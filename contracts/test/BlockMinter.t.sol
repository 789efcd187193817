// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BlockMinter} from "../src/BlockMinter.sol";
import {MinterParams, SkipReason, Status, Task} from "../src/Types.sol";
import {TaskManager} from "../src/TaskManager.sol";
import {BitcoinHeader} from "../src/libraries/BitcoinHeader.sol";
import {Coinbase} from "../src/libraries/Coinbase.sol";
import {Deployed} from "./Deployed.sol";
import {vm} from "./Vm.sol";

contract BlockMinterTest is Deployed {
    Task[] private none;

    // ---- good blocks

    function test_genesis() public view {
        (bytes32 hash, uint64 height, uint32 time) = minter.tip();
        eq(height, 0, "height");
        eq(time, GENESIS, "time");
        eq(
            hash,
            sha256(abi.encodePacked(sha256(abi.encodePacked("gristmill genesis v1", registry.deploymentId())))),
            "hash"
        );
        eq(minter.nextBits(), BITS, "bits");
    }

    function test_chainOfBlocksMovesTipBitsAndRewards() public {
        for (uint64 i = 1; i <= 4; ++i) {
            _mint(none);
            (bytes32 hash, uint64 height, uint32 time) = minter.tip();
            eq(height, i, "height");
            eq(hash, minter.hashAt(i), "hash");
            eq(time, GENESIS + 10 * i, "time");
            eq(minter.nextBits(), BITS, "on schedule");
        }
        eq(rewards.owed(BENEFICIARY), 4 * BLOCK_REWARD, "rewards");
    }

    function test_earlyBlocksGetHarder() public {
        (bytes32 parent,,) = minter.tip();
        bytes memory coinbase = _coinbase(1, 0);
        bytes memory header = _headerOf(0x20000000, parent, _root(coinbase, none, parent), GENESIS + 1, BITS);
        _work(header);
        _submit(header, coinbase, none);
        yes(minter.nextBits() < BITS, "harder");
    }

    function test_blockWithTasksOffersThem() public {
        Task[] memory list = new Task[](3);
        for (uint256 i = 0; i < 2; ++i) {
            list[i] = _taskOf(sha256(abi.encode(i)), i + 1);
        }
        list[2] = _taskOf(sha256("bad"), 7);
        list[2].signature[5] ^= 0x01;
        bytes32 genesis = minter.hashAt(0);
        _mint(list);
        _is(_taskId(list[0], genesis), Status.Offered);
        _is(_taskId(list[1], genesis), Status.Offered);
        // The bad one is skipped, the block stands.
        _is(_taskId(list[2], genesis), Status.None);
        eq(tasks.taskOf(_taskId(list[0], genesis)).height, 1, "height");
    }

    function test_rolledVersionBitsAreFree() public {
        (bytes32 parent,,) = minter.tip();
        bytes memory coinbase = _coinbase(1, 0);
        bytes memory header = _headerOf(0x3fffe000, parent, _root(coinbase, none, parent), GENESIS + 1, BITS);
        _work(header);
        _submit(header, coinbase, none);
        (, uint64 height,) = minter.tip();
        eq(height, 1, "height");
    }

    function test_emptyRewardPoolDoesNotStopMining() public {
        vm.deal(address(rewards), 0);
        _mint(none);
        eq(rewards.owed(BENEFICIARY), 0, "nothing");
        vm.deal(address(rewards), 1 ether);
        _mint(none);
        eq(rewards.owed(BENEFICIARY), 1 ether, "what is left");
    }

    function test_emptyListRootIsTheCoinbase() public view {
        bytes memory coinbase = _coinbase(1, 0);
        eq(_root(coinbase, none, 0), sha256(abi.encodePacked(sha256(coinbase))), "root");
    }

    // ---- refused headers

    function test_revertsOnHeaderLength() public {
        _refused(new bytes(79), _coinbase(1, 0), abi.encodeWithSelector(BitcoinHeader.BadHeaderLength.selector, 79));
        _refused(new bytes(81), _coinbase(1, 0), abi.encodeWithSelector(BitcoinHeader.BadHeaderLength.selector, 81));
    }

    function test_revertsOnVersion() public {
        (bytes memory header, bytes memory coinbase) = _mine(none);
        header[0] = 0x01;
        vm.expectRevert(abi.encodeWithSelector(BlockMinter.BadVersion.selector, 0x20000001));
        _submit(header, coinbase, none);
    }

    function test_revertsOnAnotherParent() public {
        bytes memory coinbase = _coinbase(1, 0);
        bytes memory header = _headerOf(0x20000000, bytes32(uint256(1)), 0, GENESIS + 10, BITS);
        vm.expectRevert(abi.encodeWithSelector(BlockMinter.NotTip.selector, minter.hashAt(0), bytes32(uint256(1))));
        _submit(header, coinbase, none);
    }

    function test_revertsOnReplayedBlock() public {
        (bytes memory header, bytes memory coinbase) = _mine(none);
        vm.warp(GENESIS + 10);
        _submit(header, coinbase, none);
        vm.expectRevert(abi.encodeWithSelector(BlockMinter.WrongHeight.selector, 2, 1));
        _submit(header, coinbase, none);
        // A fresh coinbase does not help: the header names its parent.
        bytes32 genesis = minter.hashAt(0);
        bytes32 tip = minter.hashAt(1);
        _refused(header, _coinbase(2, 0), abi.encodeWithSelector(BlockMinter.NotTip.selector, tip, genesis));
    }

    function test_revertsOnEasierAndHarderBits() public {
        bytes memory coinbase = _coinbase(1, 0);
        bytes32 genesis = minter.hashAt(0);
        uint32[3] memory wrong = [uint32(0x207fffff), 0x1d7fffff, 0x1e7ffffe];
        for (uint256 i = 0; i < wrong.length; ++i) {
            bytes memory header = _headerOf(0x20000000, genesis, 0, GENESIS + 10, wrong[i]);
            vm.expectRevert(abi.encodeWithSelector(BlockMinter.WrongBits.selector, BITS, wrong[i]));
            _submit(header, coinbase, none);
        }
    }

    function test_revertsWithoutWork() public {
        bytes memory coinbase = _coinbase(1, 0);
        bytes memory header = _headerOf(0x20000000, minter.hashAt(0), _root(coinbase, none, 0), GENESIS + 10, BITS);
        bytes32 hash = sha256(abi.encodePacked(sha256(header)));
        vm.expectRevert(abi.encodeWithSelector(BlockMinter.NotEnoughWork.selector, hash, BITS));
        _submit(header, coinbase, none);
        // The next good one goes through: the same block with the work done.
        bytes memory worked = _headerOf(0x20000000, minter.hashAt(0), _root(coinbase, none, 0), GENESIS + 10, BITS);
        _work(worked);
        _submit(worked, coinbase, none);
        (, uint64 height,) = minter.tip();
        eq(height, 1, "mined");
    }

    function test_revertsOnTime() public {
        bytes memory coinbase = _coinbase(1, 0);
        bytes32 root = _root(coinbase, none, 0);
        bytes memory header = _headerOf(0x20000000, minter.hashAt(0), root, GENESIS, BITS);
        _work(header);
        vm.expectRevert(abi.encodeWithSelector(BlockMinter.TimeTooOld.selector, GENESIS, GENESIS));
        _submit(header, coinbase, none);

        header = _headerOf(0x20000000, minter.hashAt(0), root, GENESIS + 61, BITS);
        _work(header);
        vm.expectRevert(abi.encodeWithSelector(BlockMinter.TimeTooNew.selector, GENESIS + 60, GENESIS + 61));
        _submit(header, coinbase, none);
        vm.warp(GENESIS + 1);
        _submit(header, coinbase, none);
    }

    function test_revertsOnAnotherChain() public {
        (bytes memory header, bytes memory coinbase) = _mine(none);
        vm.warp(GENESIS + 10);
        vm.chainId(1);
        vm.expectRevert(abi.encodeWithSelector(BlockMinter.WrongChain.selector, 31337, 1));
        _submit(header, coinbase, none);
    }

    // ---- refused coinbases: all before the root, so they need no work

    function test_revertsOnCoinbaseFields() public {
        (bytes memory header,) = _mine(none);
        bytes memory extra = hex"0000000000000001";
        address here = address(minter);

        _refused(
            header,
            _coinbaseOf(OUTSIDER, OPERATOR, BENEFICIARY, 1, 0, extra),
            abi.encodeWithSelector(BlockMinter.WrongMinter.selector, here, OUTSIDER)
        );
        _refused(
            header,
            _coinbaseOf(here, OUTSIDER, BENEFICIARY, 1, 0, extra),
            abi.encodeWithSelector(BlockMinter.WrongOperator.selector, OUTSIDER, OPERATOR)
        );
        _refused(
            header,
            _coinbaseOf(here, OPERATOR, address(0), 1, 0, extra),
            abi.encodeWithSelector(BlockMinter.NoBeneficiary.selector)
        );
        _refused(
            header,
            _coinbaseOf(here, OPERATOR, BENEFICIARY, 2, 0, extra),
            abi.encodeWithSelector(BlockMinter.WrongHeight.selector, 1, 2)
        );
        _refused(
            header,
            _coinbaseOf(here, OPERATOR, BENEFICIARY, 1, 1, extra),
            abi.encodeWithSelector(BlockMinter.WrongTaskCount.selector, 0, 1)
        );
        _refused(
            header,
            _coinbaseOf(here, OPERATOR, BENEFICIARY, 1, 0, new bytes(7)),
            abi.encodeWithSelector(Coinbase.BadCoinbaseLength.selector, 132)
        );
        _refused(
            header,
            _coinbaseOf(here, OPERATOR, BENEFICIARY, 1, 0, new bytes(33)),
            abi.encodeWithSelector(Coinbase.BadCoinbaseLength.selector, 158)
        );

        bytes memory tag = _coinbase(1, 0);
        tag[20] = "2";
        _refused(header, tag, abi.encodeWithSelector(Coinbase.BadCoinbaseTag.selector));
        bytes memory other = _coinbase(1, 0);
        other[21] ^= 0x01;
        _refused(
            header,
            other,
            abi.encodeWithSelector(BlockMinter.WrongDeployment.selector, registry.deploymentId(), _slice(other, 21))
        );
    }

    function test_revertsOnTooManyTasks() public {
        Task[] memory list = new Task[](MAX_TASKS + 1);
        bytes memory coinbase = _coinbase(1, MAX_TASKS + 1);
        vm.expectRevert(abi.encodeWithSelector(BlockMinter.TooManyTasks.selector, MAX_TASKS + 1, MAX_TASKS));
        _submit(new bytes(80), coinbase, list);
    }

    // ---- swaps after mining: the work commits to all of it

    function test_revertsOnSwappedBeneficiary() public {
        (bytes memory header, bytes memory mined) = _mine(none);
        vm.warp(GENESIS + 10);
        bytes memory swapped = _coinbaseOf(address(minter), OPERATOR, OUTSIDER, 1, 0, hex"0000000000000001");
        _expectWrongRoot(swapped, none, mined, none);
        _submit(header, swapped, none);
        // The next good one goes through: the block as it was mined.
        _submit(header, mined, none);
        eq(rewards.owed(OUTSIDER), 0, "nothing for the swapped one");
        eq(rewards.owed(BENEFICIARY), BLOCK_REWARD, "all for the mined one");
    }

    function test_revertsOnSwappedReorderedAndDuplicatedTasks() public {
        Task[] memory list = new Task[](2);
        list[0] = _task(0);
        list[1] = _task(3);
        (bytes memory header, bytes memory coinbase) = _mine(list);
        vm.warp(GENESIS + 10);

        Task[] memory other = new Task[](2);
        (other[0], other[1]) = (list[1], list[0]);
        _expectWrongRoot(coinbase, other, coinbase, list);
        _submit(header, coinbase, other);

        other[0] = list[0];
        other[1] = _task(4);
        _expectWrongRoot(coinbase, other, coinbase, list);
        _submit(header, coinbase, other);

        // Three leaves have the root of four whose last two are equal; the coinbase's count tells them apart.
        Task[] memory tail = new Task[](3);
        (tail[0], tail[1], tail[2]) = (list[0], list[1], list[1]);
        eq(_root(coinbase, tail, minter.hashAt(0)), _root(coinbase, list, minter.hashAt(0)), "Bitcoin's weakness");
        vm.expectRevert(abi.encodeWithSelector(BlockMinter.WrongTaskCount.selector, 3, 2));
        _submit(header, coinbase, tail);

        _submit(header, coinbase, list);
    }

    function test_revertsOnEveryChangedTaskField() public {
        Task[] memory list = _one(_task(0));
        (bytes memory header, bytes memory coinbase) = _mine(list);
        vm.warp(GENESIS + 10);
        for (uint256 field = 0; field < 8; ++field) {
            Task[] memory changed = _one(_task(0));
            Task memory t = changed[0];
            if (field == 0) t.project = 2;
            if (field == 1) t.version = 2;
            if (field == 2) t.count += 1;
            if (field == 3) t.dataCommitment += 1;
            if (field == 4) t.dataHash ^= bytes32(uint256(1));
            if (field == 5) t.size += 1;
            if (field == 6) t.expiry += 1;
            if (field == 7) t.signature[64] ^= 0x01;
            _expectWrongRoot(coinbase, changed, coinbase, list);
            _submit(header, coinbase, changed);
        }
        _submit(header, coinbase, list);
    }

    function test_anotherOperatorCannotSubmit() public {
        (bytes memory header, bytes memory coinbase) = _mine(none);
        vm.warp(GENESIS + 10);
        vm.prank(OUTSIDER);
        vm.expectRevert(abi.encodeWithSelector(BlockMinter.WrongOperator.selector, OPERATOR, OUTSIDER));
        minter.mint(header, coinbase, none);
    }

    // ---- parameters

    function test_revertsOnBadParameters() public {
        for (uint256 field = 0; field < 9; ++field) {
            MinterParams memory p = _params();
            if (field == 0) p.targetSeconds = 0;
            if (field == 1) p.halfLife = 0;
            if (field == 2) p.maxTasks = 0;
            if (field == 3) p.genesisTime = 0;
            if (field == 4) p.genesisTime = GENESIS + 61;
            if (field == 5) p.powLimit = 0x1f00ffff; // wider than 2^239
            if (field == 6) p.genesisBits = 0x1f00ffff; // easier than the limit
            if (field == 7) p.genesisBits = 0x1e007fff; // not in its shortest form
            if (field == 8) p.powLimit = 0x207fffff; // a one-hash block
            vm.expectRevert(BlockMinter.BadParams.selector);
            new BlockMinter(registry, tasks, rewards, p);
        }
        MinterParams memory kept = minter.params();
        eq(keccak256(abi.encode(kept)), keccak256(abi.encode(_params())), "params");
    }

    function _submit(bytes memory header, bytes memory coinbase, Task[] memory list) private {
        vm.prank(OPERATOR);
        minter.mint(header, coinbase, list);
    }

    function _refused(bytes memory header, bytes memory coinbase, bytes memory reason) private {
        vm.expectRevert(reason);
        _submit(header, coinbase, none);
    }

    function _expectWrongRoot(
        bytes memory coinbase,
        Task[] memory list,
        bytes memory minedCoinbase,
        Task[] memory mined
    ) private {
        bytes32 parent = minter.hashAt(0);
        vm.expectRevert(
            abi.encodeWithSelector(
                BlockMinter.WrongRoot.selector, _root(coinbase, list, parent), _root(minedCoinbase, mined, parent)
            )
        );
    }
}
