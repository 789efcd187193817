// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {Escrow} from "./Escrow.sol";
import {Groth16Verifier} from "./Groth16Verifier.sol";
import {IDapp} from "./IDapp.sol";
import {ProjectRegistry} from "./ProjectRegistry.sol";
import {ProverRegistry} from "./ProverRegistry.sol";
import {Registry} from "./Registry.sol";
import {DeadReason, Record, SkipReason, Status, Task, Terms, FIXED_INPUTS, SCALAR_MODULUS} from "./Types.sol";

/// @title The life of a task, from its block to its payment
/// @notice None → Waiting | Offered → Accepted → Settled; Recalled and Dead are the other ends. A task that fails a check
/// when its block is minted is skipped with its reason and leaves no record, so that its messages may be mined again.
/// The chain's clock is `block.timestamp`.
contract TaskManager is ReentrancyGuardTransient {
    error NotMinter(address caller);
    error NotOffered(bytes32 taskId, address caller);
    error NotWaiting(bytes32 taskId);
    error NotAssigned(bytes32 taskId, address caller);
    error OfferStillOpen(bytes32 taskId, uint64 acceptBy);
    error DeadlineNotPassed(bytes32 taskId, uint64 deadline);
    error NotProjectOwner(uint64 project, address caller);
    error TooEarlyToRecall(bytes32 taskId, uint64 from);
    error NotRecallable(bytes32 taskId, Status status);
    error WrongOutputCount(uint256 got, uint256 expected);
    error InvalidProof(bytes32 taskId);
    error GasTooLow(uint256 got, uint256 needed);

    event TaskMined(bytes32 indexed taskId, uint64 indexed project, uint64 indexed height, address operator, Task task);
    event TaskSkipped(bytes32 indexed taskId, uint8 reason);
    event TaskOffered(bytes32 indexed taskId, address indexed prover, uint8 attempt, uint64 acceptBy);
    event TaskWaiting(bytes32 indexed taskId);
    event TaskAccepted(bytes32 indexed taskId, address indexed prover, uint64 deadline);
    event TaskDeclined(bytes32 indexed taskId, address indexed prover);
    event OfferMissed(bytes32 indexed taskId, address indexed prover);
    event TaskReassigned(bytes32 indexed taskId, address indexed from, uint256 slashed);
    event TaskSettled(
        bytes32 indexed taskId,
        uint64 indexed project,
        address indexed prover,
        uint256[] proof,
        uint256[] outputs,
        uint256 proverAmount,
        uint256 sequencerAmount,
        uint256 protocolAmount
    );
    event TaskRecalled(bytes32 indexed taskId, uint64 indexed project);
    event TaskDead(bytes32 indexed taskId, uint8 reason);
    event DappCalled(bytes32 indexed taskId, bool ok);

    /// @notice Offers (and claims) a task gets before it dies.
    uint8 public constant MAX_OFFERS = 8;
    /// @notice Gas kept back from the callback: reaching the dApp's account and finishing the settlement.
    uint256 public constant DAPP_GAS_RESERVE = 30_000;

    bytes32 private constant DOMAIN_TYPE =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant AUTHORISATION_TYPE = keccak256(
        "TaskAuthorisation(uint64 project,uint32 version,bytes32 dataHash,uint256 dataCommitment,uint32 count,uint32 size,uint64 expiry)"
    );
    /// @dev Bytes of a body before its messages; of a message with its length prefix: the least, and the most that come
    /// on top of the payload.
    uint256 private constant BODY_HEAD = 17;
    uint256 private constant MIN_MESSAGE = 121;
    uint256 private constant MESSAGE_OVERHEAD = 160;

    Registry public immutable registry;
    ProjectRegistry public immutable projects;
    ProverRegistry public immutable provers;
    Escrow public immutable escrow;
    Groth16Verifier public immutable verifier;
    bytes32 public immutable deploymentId;
    bytes32 private immutable _domain;

    mapping(bytes32 taskId => Record) private _records;
    /// @dev The last task made of a body. While that task is alive or once it settled, the body is not payable again.
    mapping(uint64 project => mapping(bytes32 dataHash => bytes32 taskId)) private _taskOfData;

    constructor(
        Registry registry_,
        ProjectRegistry projects_,
        ProverRegistry provers_,
        Escrow escrow_,
        Groth16Verifier verifier_
    ) {
        registry = registry_;
        projects = projects_;
        provers = provers_;
        escrow = escrow_;
        verifier = verifier_;
        deploymentId = registry_.deploymentId();
        _domain = keccak256(
            abi.encode(DOMAIN_TYPE, keccak256("gristmill"), keccak256("1"), registry_.chainId(), address(registry_))
        );
    }

    // ---- by the block minter

    /// @notice Takes a block's tasks in order. Never reverts for what a task contains: a bad one is skipped.
    function enter(bytes32[] calldata ids, Task[] calldata tasks, bytes32 blockHash, uint64 height, address operator)
        external
    {
        if (msg.sender != registry.minter()) revert NotMinter(msg.sender);
        for (uint256 i = 0; i < ids.length; ++i) {
            emit TaskMined(ids[i], tasks[i].project, height, operator, tasks[i]);
            Terms memory terms = projects.termsOf(tasks[i].project, tasks[i].version);
            (SkipReason reason, address sequencer) = _check(tasks[i], terms);
            if (reason != SkipReason.None) {
                emit TaskSkipped(ids[i], uint8(reason));
                continue;
            }
            Record storage r = _record(ids[i], tasks[i], height, sequencer);
            _offer(ids[i], r, terms.acceptWindow, blockHash, address(0));
        }
    }

    // ---- by provers

    /// @notice Accepts offers made to the caller, all or none, also after the window as long as the offer was not moved on.
    /// Withholds each reward and starts each deadline.
    function accept(bytes32[] calldata ids) external nonReentrant {
        for (uint256 i = 0; i < ids.length; ++i) {
            Record storage r = _records[ids[i]];
            if (r.status != Status.Offered || r.prover != msg.sender) revert NotOffered(ids[i], msg.sender);
            _accept(ids[i], r);
        }
        // As many offers as there are tasks in the loop, which the block's gas bounds.
        // forge-lint: disable-next-line(unsafe-typecast)
        provers.take(msg.sender, uint32(ids.length));
    }

    /// @notice Refuses an offer, at no cost. Another prover is drawn, the caller again only if there is no other.
    function decline(bytes32 id) external nonReentrant {
        Record storage r = _records[id];
        if (r.status != Status.Offered || r.prover != msg.sender) revert NotOffered(id, msg.sender);
        provers.dropOffer(msg.sender);
        emit TaskDeclined(id, msg.sender);
        _next(id, r);
    }

    /// @notice Takes a waiting task: accepts it at once. Counts as one of the task's offers.
    function claim(bytes32 id) external nonReentrant {
        Record storage r = _records[id];
        if (r.status != Status.Waiting) revert NotWaiting(id);
        provers.takeWaiting(msg.sender, r.project);
        r.prover = msg.sender;
        ++r.attempt;
        _accept(id, r);
    }

    /// @notice Settles a task with its proof: by the prover it is assigned to, also after the deadline while nobody moved
    /// it on. Marks, pays, tells, then calls the dApp, whose failure is recorded and changes nothing.
    /// @param proof eight words, twelve if the circuit uses a commitment: see Groth16Verifier
    /// @param outputs the circuit's public outputs; with the binding and the data commitment the proof's public inputs
    function settle(bytes32 id, uint256[] calldata proof, uint256[] calldata outputs) external nonReentrant {
        Record storage r = _records[id];
        if (r.status != Status.Accepted || r.prover != msg.sender) revert NotAssigned(id, msg.sender);
        (bytes32 vkId, uint16 outputCount, address dapp, uint32 dappGas) = projects.proofTermsOf(r.project, r.version);
        if (outputs.length != outputCount) revert WrongOutputCount(outputs.length, outputCount);
        if (!verifier.verify(vkId, proof, _inputs(id, r.dataCommitment, outputs))) revert InvalidProof(id);

        r.status = Status.Settled;
        provers.release(msg.sender);
        Escrow.Split memory split = _pay(id, r);
        emit TaskSettled(id, r.project, msg.sender, proof, outputs, split.prover, split.sequencer, split.protocol);
        if (dapp != address(0)) _callDapp(id, r, dapp, dappGas, outputs);
    }

    // ---- by anyone

    /// @notice Moves on an offer whose window passed. The silent prover is drawn no more until it resumes. If the project
    /// can no longer pay, that was not the prover's fault: the task dies, as does one that waits and cannot be paid.
    function advance(bytes32 id) external nonReentrant {
        Record storage r = _records[id];
        bool unpayable = !r.withheld && !_funded(r);
        if (r.status == Status.Waiting && unpayable) {
            _die(id, r, DeadReason.InsufficientFunds);
            return;
        }
        if (r.status != Status.Offered) revert NotOffered(id, r.prover);
        if (block.timestamp <= r.acceptBy) revert OfferStillOpen(id, r.acceptBy);
        if (unpayable) {
            provers.dropOffer(r.prover);
            _die(id, r, DeadReason.InsufficientFunds);
            return;
        }
        provers.missOffer(r.prover);
        emit OfferMissed(id, r.prover);
        _next(id, r);
    }

    /// @notice Takes a task from a prover that let its deadline pass, which costs it one bond; the caller gets a small
    /// part, but nothing if it is the project's owner or the task's sequencer: those chose the deadline and the work, and
    /// must not earn by it. The reward stays withheld for the next prover.
    function reassign(bytes32 id) external nonReentrant {
        Record storage r = _records[id];
        if (r.status != Status.Accepted) revert NotAssigned(id, r.prover);
        if (block.timestamp <= r.deadline) revert DeadlineNotPassed(id, r.deadline);
        bool party = msg.sender == r.sequencer || msg.sender == projects.ownerOf(r.project);
        uint256 slashed = provers.slash(r.prover, party ? address(0) : msg.sender);
        emit TaskReassigned(id, r.prover, slashed);
        _next(id, r);
    }

    // ---- by the project's owner

    /// @notice Ends a task that nobody accepted, or whose prover is past its deadline and the grace. Refunds once.
    function recall(bytes32 id) external nonReentrant {
        Record storage r = _records[id];
        if (r.status != Status.Waiting && r.status != Status.Offered && r.status != Status.Accepted) {
            revert NotRecallable(id, r.status);
        }
        if (projects.ownerOf(r.project) != msg.sender) revert NotProjectOwner(r.project, msg.sender);
        if (r.status == Status.Offered) {
            provers.dropOffer(r.prover);
        } else if (r.status == Status.Accepted) {
            uint64 from = r.deadline + projects.termsOf(r.project, r.version).recallGrace;
            if (block.timestamp <= from) revert TooEarlyToRecall(id, from);
            provers.slash(r.prover, address(0));
        }
        r.status = Status.Recalled;
        _refund(id, r);
        emit TaskRecalled(id, r.project);
    }

    // ---- views

    /// @notice What is kept of a task; status None if it was never recorded.
    function taskOf(bytes32 id) external view returns (Record memory) {
        return _records[id];
    }

    /// @notice The first public input of a proof: what ties it to this deployment, task and prover.
    function bindingOf(bytes32 id, address prover) public view returns (uint256) {
        return uint256(sha256(abi.encodePacked(deploymentId, id, prover))) % SCALAR_MODULUS;
    }

    /// @notice The EIP-712 digest that a sequencer key signs.
    function authorisationDigest(Task calldata task) public view returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(
            _domain,
            keccak256(
                abi.encode(
                    AUTHORISATION_TYPE,
                    task.project,
                    task.version,
                    task.dataHash,
                    task.dataCommitment,
                    task.count,
                    task.size,
                    task.expiry
                )
            )
        );
    }

    // ---- entering

    function _check(Task calldata task, Terms memory terms) private view returns (SkipReason, address) {
        if (!terms.known) return (SkipReason.UnknownVersion, address(0));
        if (terms.paused) return (SkipReason.ProjectPaused, address(0));
        if (task.count == 0 || task.count > terms.batchSize) return (SkipReason.BadCount, address(0));
        if (!_plausibleSize(task, terms.payloadLimit)) return (SkipReason.BadSize, address(0));
        if (task.dataCommitment >= SCALAR_MODULUS) return (SkipReason.BadCommitment, address(0));
        if (block.timestamp > task.expiry) return (SkipReason.Expired, address(0));
        (address signer, ECDSA.RecoverError err,) = ECDSA.tryRecoverCalldata(authorisationDigest(task), task.signature);
        if (err != ECDSA.RecoverError.NoError || !projects.isSequencer(task.project, signer)) {
            return (SkipReason.BadAuthorisation, address(0));
        }
        if (_taken(task.project, task.dataHash)) return (SkipReason.DuplicateData, address(0));
        if (escrow.freeOf(task.project, terms.rewardToken) < terms.reward) {
            return (SkipReason.InsufficientFunds, address(0));
        }
        return (SkipReason.None, signer);
    }

    /// @dev Whether a body of that many messages can have that many bytes.
    function _plausibleSize(Task calldata task, uint256 payloadLimit) private pure returns (bool) {
        return task.size >= BODY_HEAD + MIN_MESSAGE * task.count
            && task.size <= BODY_HEAD + (MESSAGE_OVERHEAD + payloadLimit) * task.count;
    }

    /// @dev A body is payable once, ever: not again while its task is alive, nor after it settled.
    function _taken(uint64 project, bytes32 dataHash) private view returns (bool) {
        Status status = _records[_taskOfData[project][dataHash]].status;
        return status != Status.None && status != Status.Recalled && status != Status.Dead;
    }

    function _record(bytes32 id, Task calldata task, uint64 height, address sequencer)
        private
        returns (Record storage r)
    {
        _taskOfData[task.project][task.dataHash] = id;
        r = _records[id];
        r.version = task.version;
        r.project = task.project;
        r.height = height;
        r.count = task.count;
        r.sequencer = sequencer;
        r.dataCommitment = task.dataCommitment;
        r.dataHash = task.dataHash;
    }

    // ---- offering

    /// @dev Draws the next prover, another than the last if there is one, or ends the task after the last offer.
    function _next(bytes32 id, Record storage r) private {
        r.deadline = 0;
        if (r.attempt >= MAX_OFFERS) {
            _die(id, r, DeadReason.OffersExhausted);
            return;
        }
        uint32 acceptWindow = projects.termsOf(r.project, r.version).acceptWindow;
        _offer(id, r, acceptWindow, IChain(registry.minter()).hashAt(r.height), r.prover);
    }

    /// @param except the prover that the task comes from; zero if from its block
    function _offer(bytes32 id, Record storage r, uint32 acceptWindow, bytes32 blockHash, address except) private {
        uint8 attempt = r.attempt + 1;
        uint256 seed = uint256(keccak256(abi.encode(blockHash, id, attempt)));
        address prover = provers.draw(r.project, seed, except);
        r.prover = prover;
        if (prover == address(0)) {
            r.status = Status.Waiting;
            emit TaskWaiting(id);
            return;
        }
        uint64 acceptBy = uint64(block.timestamp) + acceptWindow;
        r.status = Status.Offered;
        r.attempt = attempt;
        r.acceptBy = acceptBy;
        emit TaskOffered(id, prover, attempt, acceptBy);
    }

    function _accept(bytes32 id, Record storage r) private {
        Terms memory terms = projects.termsOf(r.project, r.version);
        if (!r.withheld) {
            escrow.withhold(id, r.project, terms.rewardToken, terms.reward);
            r.withheld = true;
        }
        uint64 deadline = uint64(block.timestamp) + terms.proveWindow;
        r.status = Status.Accepted;
        r.deadline = deadline;
        emit TaskAccepted(id, msg.sender, deadline);
    }

    function _funded(Record storage r) private view returns (bool) {
        Terms memory terms = projects.termsOf(r.project, r.version);
        return escrow.freeOf(r.project, terms.rewardToken) >= terms.reward;
    }

    // ---- ending

    function _die(bytes32 id, Record storage r, DeadReason reason) private {
        r.status = Status.Dead;
        _refund(id, r);
        emit TaskDead(id, uint8(reason));
    }

    function _refund(bytes32 id, Record storage r) private {
        r.prover = address(0);
        if (!r.withheld) return;
        r.withheld = false;
        Terms memory terms = projects.termsOf(r.project, r.version);
        escrow.refund(id, r.project, terms.rewardToken, terms.reward);
    }

    function _pay(bytes32 id, Record storage r) private returns (Escrow.Split memory) {
        r.withheld = false;
        Terms memory terms = projects.termsOf(r.project, r.version);
        return escrow.settle(
            id,
            r.project,
            terms.rewardToken,
            terms.reward,
            terms.sequencerShareBps,
            provers.proverOf(msg.sender).beneficiary,
            r.sequencer
        );
    }

    function _inputs(bytes32 id, uint256 dataCommitment, uint256[] calldata outputs)
        private
        view
        returns (uint256[] memory inputs)
    {
        inputs = new uint256[](FIXED_INPUTS + outputs.length);
        inputs[0] = bindingOf(id, msg.sender);
        inputs[1] = dataCommitment;
        for (uint256 i = 0; i < outputs.length; ++i) {
            inputs[FIXED_INPUTS + i] = outputs[i];
        }
    }

    /// @dev Refuses to start unless the callback is sure to get its full gas (a call gets at most 63/64 of what is left),
    /// so that a prover cannot make it fail by sending too little. Copies no return data.
    function _callDapp(bytes32 id, Record storage r, address dapp, uint32 dappGas, uint256[] calldata outputs) private {
        bytes memory data = abi.encodeCall(IDapp.onSettled, (r.project, id, r.count, outputs));
        uint256 needed = uint256(dappGas) * 64 / 63 + DAPP_GAS_RESERVE;
        if (gasleft() < needed) revert GasTooLow(gasleft(), needed);
        bool ok;
        assembly ("memory-safe") {
            ok := call(dappGas, dapp, 0, add(data, 32), mload(data), 0, 0)
        }
        emit DappCalled(id, ok);
    }
}

/// @dev What the task manager asks the block minter.
interface IChain {
    function hashAt(uint64 height) external view returns (bytes32);
}
