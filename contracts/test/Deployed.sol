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
import {SequencerRegistry} from "../src/SequencerRegistry.sol";
import {TaskManager} from "../src/TaskManager.sol";
import {DeadReason, MinterParams, Parts, Record, SkipReason, Status, Task, Version} from "../src/Types.sol";
import {VerifyingKeys} from "../src/VerifyingKeys.sol";
import {MerkleRoot} from "../src/libraries/MerkleRoot.sol";
import {GristToken} from "../src/samples/GristToken.sol";
import {MeterTotals} from "../src/samples/MeterTotals.sol";
import {Test, Vectors, Vm, vm} from "./Vm.sol";

/// @dev A whole deployment at the address that the golden vectors and the proof fixtures are made for, with a project,
/// its escrow filled, and two provers.
abstract contract Deployed is Test {
    using Vectors for Vectors.Cursor;

    struct Proven {
        bytes32 taskId;
        bytes32 dataHash;
        uint256 dataCommitment;
        address prover;
        uint256 binding;
        uint256[] outputs;
        uint256[] proof;
    }

    /// @dev anvil's first account; its first contract is the registry of the vectors.
    address internal constant DEPLOYER = 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266;
    address internal constant REGISTRY = 0x5FbDB2315678afecb367f032d93F642f64180aa3;
    uint32 internal constant GENESIS = 1_700_000_000;
    /// @dev 2^17 hashes a block, the easiest the contract allows.
    uint32 internal constant BITS = 0x1e7fffff;
    uint16 internal constant MAX_TASKS = 64;

    uint256 internal constant SEQUENCER_KEY = 0x5e9;
    address internal constant ALICE = address(uint160(0x00a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1));
    address internal constant BOB = address(uint160(0x00b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0));
    address internal constant OPERATOR = address(0x09e7);
    address internal constant BENEFICIARY = address(0xbe9e);
    address internal constant OWNER = address(0x0419e7);
    address internal constant TREASURY = address(0x7ea5);
    address internal constant OUTSIDER = address(0x0bad);

    uint256 internal constant STAKE = 10 ether;
    uint256 internal constant BOND = 1 ether;
    uint256 internal constant REWARD = 100e18;
    uint256 internal constant BLOCK_REWARD = 2 ether;
    uint16 internal constant SEQUENCER_BPS = 1_000;
    uint16 internal constant PROTOCOL_BPS = 500;
    uint32 internal constant MIN_ACCEPT_WINDOW = 20;
    uint32 internal constant MIN_PROVE_WINDOW = 60;
    uint32 internal constant ACCEPT_WINDOW = 30;
    uint32 internal constant PROVE_WINDOW = 600;
    uint32 internal constant RECALL_GRACE = 60;
    uint32 internal constant DAPP_GAS = 200_000;
    uint64 internal constant PROJECT = 1;
    bytes32 internal constant BLOCK = keccak256("a block");

    address internal sequencer = vm.addr(SEQUENCER_KEY);
    Registry internal registry;
    VerifyingKeys internal keys;
    Groth16Verifier internal verifier;
    ProjectRegistry internal projects;
    DeviceRegistry internal devices;
    SequencerRegistry internal sequencers;
    ProverRegistry internal provers;
    Escrow internal escrow;
    RewardPool internal rewards;
    TaskManager internal tasks;
    BlockMinter internal minter;
    MeterTotals internal dapp;
    GristToken internal token;

    bytes internal key;
    bytes32 internal vkId;
    Proven[] internal proven;
    /// @dev The version that new tasks name.
    uint32 internal currentVersion = 1;

    function setUp() public virtual {
        vm.chainId(31337);
        vm.warp(GENESIS);
        _deploy();
        _readFixtures();
        vm.deal(address(this), 1000 ether);
        (bool ok,) = address(rewards).call{value: 100 ether}("");
        yes(ok, "funding");
        _project();
        _join(ALICE, 4);
        _join(BOB, 4);
    }

    // ---- deployment

    function _deploy() private {
        vm.startPrank(DEPLOYER);
        registry = new Registry();
        keys = new VerifyingKeys();
        verifier = new Groth16Verifier(keys);
        projects = new ProjectRegistry(keys, MIN_ACCEPT_WINDOW, MIN_PROVE_WINDOW);
        devices = new DeviceRegistry(projects);
        sequencers = new SequencerRegistry();
        provers = new ProverRegistry(registry, projects, STAKE, BOND);
        escrow = new Escrow(registry, projects, TREASURY, PROTOCOL_BPS);
        rewards = new RewardPool(registry, BLOCK_REWARD);
        tasks = new TaskManager(registry, projects, provers, escrow, verifier);
        minter = new BlockMinter(registry, tasks, rewards, _params());
        registry.seal(_parts());
        vm.stopPrank();
        dapp = new MeterTotals(address(tasks));
        token = new GristToken(address(this));
    }

    function _params() internal pure returns (MinterParams memory) {
        return MinterParams({
            genesisTime: GENESIS,
            genesisBits: BITS,
            targetSeconds: 10,
            halfLife: 300,
            maxTasks: MAX_TASKS,
            powLimit: BITS
        });
    }

    function _parts() internal view returns (Parts memory) {
        return Parts({
            projects: address(projects),
            devices: address(devices),
            provers: address(provers),
            sequencers: address(sequencers),
            keys: address(keys),
            verifier: address(verifier),
            minter: address(minter),
            tasks: address(tasks),
            escrow: address(escrow),
            rewards: address(rewards)
        });
    }

    /// @dev Where the key and its proofs are read from.
    function _fixtures() internal pure virtual returns (string memory) {
        return "test/fixtures/groth16.json";
    }

    function _readFixtures() private {
        Vectors.Cursor memory v = Vectors.Cursor(vm.readFile(_fixtures()), "");
        key = vm.parseJsonBytes(v.json, ".key");
        vkId = keys.register(key);
        for (uint256 i = 0; v.seek(i); ++i) {
            Proven storage p = proven.push();
            p.taskId = v.word("taskId");
            p.dataHash = v.word("dataHash");
            p.dataCommitment = uint256(v.word("dataCommitment"));
            p.prover = v.account("prover");
            p.binding = uint256(v.word("binding"));
            bytes32[] memory words = v.words("outputs");
            for (uint256 j = 0; j < words.length; ++j) {
                p.outputs.push(uint256(words[j]));
            }
            words = v.words("proof");
            for (uint256 j = 0; j < words.length; ++j) {
                p.proof.push(uint256(words[j]));
            }
        }
    }

    // ---- actors

    function _version() internal view returns (Version memory) {
        return Version({
            vkId: vkId,
            bundleDigest: keccak256("bundle"),
            bundleURI: "https://example.org/bundle",
            rewardToken: address(token),
            reward: REWARD,
            batchSize: 8,
            payloadLimit: 32,
            maxWait: 5,
            acceptWindow: ACCEPT_WINDOW,
            proveWindow: PROVE_WINDOW,
            recallGrace: RECALL_GRACE,
            sequencerShareBps: SEQUENCER_BPS,
            outputs: 4,
            dapp: address(dapp),
            dappGas: DAPP_GAS
        });
    }

    function _project() private {
        vm.startPrank(OWNER);
        eq(projects.create(), PROJECT, "first project");
        projects.addVersion(PROJECT, _version());
        projects.setSequencer(PROJECT, sequencer, true);
        vm.stopPrank();
        _fund(100 * REWARD);
    }

    function _fund(uint256 amount) internal {
        token.mint(address(this), amount);
        token.approve(address(escrow), amount);
        escrow.deposit(PROJECT, address(token), amount);
    }

    function _join(address operator, uint32 capacity) internal {
        vm.deal(operator, 100 ether);
        vm.startPrank(operator);
        provers.join{value: STAKE}(_beneficiaryOf(operator), capacity);
        provers.optIn(PROJECT);
        vm.stopPrank();
    }

    function _beneficiaryOf(address operator) internal pure returns (address) {
        return address(uint160(operator) ^ 0xff);
    }

    // ---- tasks

    /// @dev The task of fixture i: a body of two messages, authorised by the project's sequencer.
    function _task(uint256 i) internal view returns (Task memory) {
        return _taskOf(proven[i].dataHash, proven[i].dataCommitment);
    }

    function _taskOf(bytes32 dataHash, uint256 dataCommitment) internal view returns (Task memory t) {
        t = Task({
            project: PROJECT,
            version: currentVersion,
            count: 2,
            dataCommitment: dataCommitment,
            dataHash: dataHash,
            size: 17 + 2 * 140,
            expiry: GENESIS + 1 days,
            signature: ""
        });
        _authorise(t, SEQUENCER_KEY);
    }

    function _authorise(Task memory t, uint256 secret) internal view {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(secret, tasks.authorisationDigest(t));
        t.signature = abi.encodePacked(r, s, v);
    }

    function _one(Task memory t) internal pure returns (Task[] memory list) {
        list = new Task[](1);
        list[0] = t;
    }

    function _ids(bytes32 id) internal pure returns (bytes32[] memory list) {
        list = new bytes32[](1);
        list[0] = id;
    }

    function _taskId(Task memory t, bytes32 parent) internal view returns (bytes32) {
        return sha256(abi.encodePacked("gristmill task id v1", registry.deploymentId(), parent, t.project, t.dataHash));
    }

    /// @dev Hands one task to the task manager as the minter would, without a block.
    function _enter(Task memory t) internal returns (bytes32 id) {
        id = _taskId(t, minter.hashAt(0));
        vm.prank(address(minter));
        tasks.enter(_ids(id), _one(t), BLOCK, 1, OPERATOR);
    }

    /// @dev Enters the task of fixture i and lets its prover have it, by standing the others down meanwhile.
    function _enterFor(uint256 i) internal returns (bytes32 id) {
        address other = proven[i].prover == ALICE ? BOB : ALICE;
        vm.prank(other);
        provers.pause();
        id = _enter(_task(i));
        vm.prank(other);
        provers.resume();
        eq(tasks.taskOf(id).prover, proven[i].prover, "drawn");
    }

    function _accepted(uint256 i) internal returns (bytes32 id) {
        id = _enterFor(i);
        vm.prank(proven[i].prover);
        tasks.accept(_ids(id));
    }

    function _settle(uint256 i) internal {
        Proven memory p = proven[i];
        vm.prank(p.prover);
        tasks.settle(p.taskId, p.proof, p.outputs);
    }

    function _is(bytes32 id, Status want) internal view {
        eq(uint256(tasks.taskOf(id).status), uint256(want), "status");
    }

    // ---- blocks

    function _coinbase(uint64 height, uint32 count) internal view returns (bytes memory) {
        return _coinbaseOf(address(minter), OPERATOR, BENEFICIARY, height, count, hex"0000000000000001");
    }

    function _coinbaseOf(
        address minter_,
        address operator,
        address beneficiary,
        uint64 height,
        uint32 count,
        bytes memory extraNonce
    ) internal view returns (bytes memory) {
        return abi.encodePacked(
            "gristmill coinbase v1", registry.deploymentId(), minter_, operator, beneficiary, height, count, extraNonce
        );
    }

    function _leaf(Task memory t, bytes32 id) internal pure returns (bytes memory) {
        return abi.encodePacked(
            "gristmill task leaf v1",
            id,
            t.project,
            t.version,
            t.count,
            t.dataCommitment,
            t.dataHash,
            t.size,
            keccak256(abi.encodePacked(t.expiry, t.signature))
        );
    }

    function _root(bytes memory coinbase, Task[] memory list, bytes32 parent) internal view returns (bytes32) {
        bytes32[] memory leaves = new bytes32[](list.length + 1);
        leaves[0] = MerkleRoot.leaf(coinbase);
        for (uint256 i = 0; i < list.length; ++i) {
            leaves[i + 1] = MerkleRoot.leaf(_leaf(list[i], _taskId(list[i], parent)));
        }
        return MerkleRoot.root(leaves);
    }

    function _headerOf(uint32 version, bytes32 prev, bytes32 root, uint32 time, uint32 bits)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodePacked(_le(version), prev, root, _le(time), _le(bits), uint32(0));
    }

    /// @dev A mined block on the tip, one target spacing after it.
    function _mine(Task[] memory list) internal view returns (bytes memory header, bytes memory coinbase) {
        (bytes32 parent, uint64 height, uint32 time) = minter.tip();
        coinbase = _coinbase(height + 1, uint32(list.length));
        header = _headerOf(0x20000000, parent, _root(coinbase, list, parent), time + 10, minter.nextBits());
        _work(header);
    }

    function _mint(Task[] memory list) internal {
        (bytes memory header, bytes memory coinbase) = _mine(list);
        (,, uint32 time) = minter.tip();
        if (block.timestamp < time + 10) vm.warp(time + 10);
        vm.prank(OPERATOR);
        minter.mint(header, coinbase, list);
    }

    /// @dev Real work: tries nonces until the header's hash meets its own bits.
    function _work(bytes memory header) internal view {
        uint32 bits = _le(uint32(bytes4(_slice(header, 72))));
        uint256 target = uint256(bits & 0x7fffff) << (8 * ((bits >> 24) - 3));
        assembly ("memory-safe") {
            let raw := add(header, 32)
            let found := 0
            for { let nonce := 0 } iszero(found) { nonce := add(nonce, 1) } {
                mstore8(add(raw, 76), nonce)
                mstore8(add(raw, 77), shr(8, nonce))
                mstore8(add(raw, 78), shr(16, nonce))
                mstore8(add(raw, 79), shr(24, nonce))
                pop(staticcall(gas(), 2, raw, 80, 0, 32))
                pop(staticcall(gas(), 2, 0, 32, 0, 32))
                let hash := mload(0)
                // The last two bytes of the hash are the value's first.
                if iszero(and(hash, 0xffff)) {
                    let value := 0
                    for { let i := 0 } lt(i, 32) { i := add(i, 1) } {
                        value := or(value, shl(shl(3, i), byte(i, hash)))
                    }
                    found := iszero(gt(value, target))
                }
            }
        }
    }

    function _le(uint32 x) internal pure returns (uint32) {
        return (x >> 24) | ((x >> 8) & 0xff00) | ((x & 0xff00) << 8) | (x << 24);
    }

    function _slice(bytes memory data, uint256 offset) internal pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := mload(add(add(data, 32), offset))
        }
    }
}
