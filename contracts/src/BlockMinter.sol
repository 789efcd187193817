// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Registry} from "./Registry.sol";
import {RewardPool} from "./RewardPool.sol";
import {TaskManager} from "./TaskManager.sol";
import {MinterParams, Task} from "./Types.sol";
import {Asert} from "./libraries/Asert.sol";
import {BitcoinHeader} from "./libraries/BitcoinHeader.sol";
import {Coinbase} from "./libraries/Coinbase.sol";
import {Compact} from "./libraries/Compact.sol";
import {MerkleRoot} from "./libraries/MerkleRoot.sol";
import {TaskLeaf} from "./libraries/TaskLeaf.sol";

/// @title The chain of blocks
/// @notice A block is Bitcoin's 80-byte header over a merkle tree of a coinbase and the tasks. It must extend the tip, meet
/// the difficulty that ASERT asks, and its coinbase fixes who mined it, for whom, at which height and with how many tasks:
/// nothing of it can be swapped once mined. A bad block is refused with the one thing wrong; a bad task in a good block is
/// skipped by the task manager, and an empty reward pool pays nothing, so neither ever stops mining.
contract BlockMinter {
    error BadParams();
    error WrongChain(uint256 expected, uint256 got);
    error BadVersion(uint32 got);
    error NotTip(bytes32 expected, bytes32 got);
    error WrongBits(uint32 expected, uint32 got);
    error NotEnoughWork(bytes32 blockHash, uint32 bits);
    error WrongRoot(bytes32 expected, bytes32 got);
    error TimeTooOld(uint32 parent, uint32 got);
    error TimeTooNew(uint256 latest, uint32 got);
    error TooManyTasks(uint256 got, uint256 max);
    error WrongDeployment(bytes32 expected, bytes32 got);
    error WrongMinter(address expected, address got);
    error WrongOperator(address expected, address got);
    error NoBeneficiary();
    error WrongHeight(uint64 expected, uint64 got);
    error WrongTaskCount(uint256 expected, uint32 got);

    event BlockMined(
        uint64 indexed height,
        bytes32 indexed hash,
        address indexed operator,
        address beneficiary,
        uint32 tasks,
        uint256 reward,
        bytes header,
        bytes coinbase
    );

    struct Tip {
        uint64 height;
        uint32 time;
    }

    /// @notice How far a block's time may run ahead of the EVM chain's clock, in seconds.
    uint256 public constant MAX_AHEAD = 60;

    Registry public immutable registry;
    TaskManager public immutable tasks;
    RewardPool public immutable rewards;
    bytes32 public immutable deploymentId;

    uint32 private immutable _genesisTime;
    uint32 private immutable _genesisBits;
    uint32 private immutable _targetSeconds;
    uint32 private immutable _halfLife;
    uint16 private immutable _maxTasks;
    uint32 private immutable _powLimit;
    uint256 private immutable _chainId;

    Tip private _tip;
    /// @notice Block hash by height, in digest order; zero above the tip. Height 0 is the genesis.
    mapping(uint64 height => bytes32) public hashAt;

    constructor(Registry registry_, TaskManager tasks_, RewardPool rewards_, MinterParams memory p) {
        _checkParams(p);
        registry = registry_;
        tasks = tasks_;
        rewards = rewards_;
        deploymentId = registry_.deploymentId();
        _chainId = registry_.chainId();
        _genesisTime = p.genesisTime;
        _genesisBits = p.genesisBits;
        _targetSeconds = p.targetSeconds;
        _halfLife = p.halfLife;
        _maxTasks = p.maxTasks;
        _powLimit = p.powLimit;
        _tip = Tip(0, p.genesisTime);
        hashAt[0] = MerkleRoot.leaf(abi.encodePacked("gristmill genesis v1", registry_.deploymentId()));
    }

    /// @notice Appends a block and hands its tasks out.
    /// @param header 80 bytes
    /// @param coinbase leaf 0: tag ‖ deploymentId ‖ this contract ‖ operator (the caller) ‖ beneficiary ‖ height u64 ‖
    /// task count u32 ‖ 8 to 32 bytes of extra nonce
    /// @param list the tasks, leaves 1 and on
    function mint(bytes calldata header, bytes calldata coinbase, Task[] calldata list) external {
        Tip memory parent = _tip;
        bytes32 blockHash = BitcoinHeader.hash(header);
        Coinbase.Fields memory cb = Coinbase.parse(coinbase);
        _checkCoinbase(cb, parent.height + 1, list.length);
        bytes32[] memory ids = _append(parent, header, blockHash, coinbase, list);
        _reward(cb, blockHash, header, coinbase);
        if (list.length != 0) tasks.enter(ids, list, blockHash, parent.height + 1, msg.sender);
    }

    /// @notice The newest block.
    function tip() external view returns (bytes32 hash, uint64 height, uint32 time) {
        return (hashAt[_tip.height], _tip.height, _tip.time);
    }

    /// @notice The bits that the next block must carry.
    function nextBits() external view returns (uint32) {
        return _nextBits(_tip);
    }

    function params() external view returns (MinterParams memory) {
        return MinterParams(_genesisTime, _genesisBits, _targetSeconds, _halfLife, _maxTasks, _powLimit);
    }

    function _checkParams(MinterParams memory p) private view {
        if (p.targetSeconds == 0 || p.halfLife == 0 || p.maxTasks == 0) revert BadParams();
        if (p.genesisTime == 0 || p.genesisTime > block.timestamp + MAX_AHEAD) revert BadParams();
        uint256 limit = Compact.toTarget(p.powLimit);
        uint256 first = Compact.toTarget(p.genesisBits);
        if (limit > Asert.MAX_LIMIT || first > limit) revert BadParams();
        // Bits are compared as numbers, so they must be in the one form that ASERT gives.
        if (Compact.fromTarget(limit) != p.powLimit || Compact.fromTarget(first) != p.genesisBits) revert BadParams();
    }

    /// @dev Checks header and root, then moves the tip.
    function _append(
        Tip memory parent,
        bytes calldata header,
        bytes32 blockHash,
        bytes calldata coinbase,
        Task[] calldata list
    ) private returns (bytes32[] memory ids) {
        bytes32 parentHash = hashAt[parent.height];
        BitcoinHeader.Header memory h = BitcoinHeader.parse(header);
        _checkHeader(h, blockHash, parent, parentHash);
        ids = _checkRoot(h.root, coinbase, list, parentHash);
        _tip = Tip(parent.height + 1, h.time);
        hashAt[parent.height + 1] = blockHash;
    }

    function _reward(Coinbase.Fields memory cb, bytes32 blockHash, bytes calldata header, bytes calldata coinbase)
        private
    {
        uint256 reward = rewards.credit(cb.beneficiary);
        emit BlockMined(cb.height, blockHash, cb.operator, cb.beneficiary, cb.taskCount, reward, header, coinbase);
    }

    function _checkHeader(BitcoinHeader.Header memory h, bytes32 blockHash, Tip memory parent, bytes32 parentHash)
        private
        view
    {
        if (block.chainid != _chainId) revert WrongChain(_chainId, block.chainid);
        if (!BitcoinHeader.versionOk(h.version)) revert BadVersion(h.version);
        if (h.prev != parentHash) revert NotTip(parentHash, h.prev);
        uint32 bits = _nextBits(parent);
        if (h.bits != bits) revert WrongBits(bits, h.bits);
        if (!BitcoinHeader.meets(blockHash, Compact.toTarget(bits))) revert NotEnoughWork(blockHash, bits);
        if (h.time <= parent.time) revert TimeTooOld(parent.time, h.time);
        if (h.time > block.timestamp + MAX_AHEAD) revert TimeTooNew(block.timestamp + MAX_AHEAD, h.time);
    }

    function _nextBits(Tip memory t) private view returns (uint32) {
        // The anchor is the genesis; its parent's time is taken as one block before it.
        int256 elapsed = int256(uint256(t.time)) - int256(uint256(_genesisTime)) + int256(uint256(_targetSeconds));
        return Asert.nextBits(
            _genesisBits, elapsed, int256(uint256(t.height)), _targetSeconds, _halfLife, Compact.toTarget(_powLimit)
        );
    }

    function _checkCoinbase(Coinbase.Fields memory cb, uint64 height, uint256 count) private view {
        if (cb.deploymentId != deploymentId) revert WrongDeployment(deploymentId, cb.deploymentId);
        if (cb.minter != address(this)) revert WrongMinter(address(this), cb.minter);
        if (cb.operator != msg.sender) revert WrongOperator(cb.operator, msg.sender);
        if (cb.beneficiary == address(0)) revert NoBeneficiary();
        if (cb.height != height) revert WrongHeight(height, cb.height);
        if (cb.taskCount != count) revert WrongTaskCount(count, cb.taskCount);
        if (count > _maxTasks) revert TooManyTasks(count, _maxTasks);
    }

    /// @return ids the tasks' ids, in order
    function _checkRoot(bytes32 root, bytes calldata coinbase, Task[] calldata list, bytes32 parentHash)
        private
        view
        returns (bytes32[] memory ids)
    {
        uint256 n = list.length;
        ids = new bytes32[](n);
        bytes32[] memory leaves = new bytes32[](n + 1);
        leaves[0] = MerkleRoot.leaf(coinbase);
        for (uint256 i = 0; i < n; ++i) {
            ids[i] = TaskLeaf.id(list[i], deploymentId, parentHash);
            leaves[i + 1] = MerkleRoot.leaf(TaskLeaf.encode(list[i], ids[i]));
        }
        bytes32 expected = MerkleRoot.root(leaves);
        if (expected != root) revert WrongRoot(expected, root);
    }
}
