// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev Order of the BN254 scalar field: every public input of a proof is below it.
uint256 constant SCALAR_MODULUS = 21888242871839275222246405745257275088548364400416034343698204186575808495617;

/// @dev Most outputs a circuit may have. With the two fixed inputs, its verifying key still fits in contract code.
uint16 constant MAX_OUTPUTS = 300;

/// @dev Public inputs before the outputs: the binding and the data commitment.
uint16 constant FIXED_INPUTS = 2;

/// @dev One whole, in hundredths of a percent.
uint256 constant BPS = 10_000;

/// @notice The contracts of one deployment.
struct Parts {
    address projects;
    address devices;
    address provers;
    address sequencers;
    address keys;
    address verifier;
    address minter;
    address tasks;
    address escrow;
    address rewards;
}

/// @notice The rules of the chain of blocks, fixed at deployment.
struct MinterParams {
    /// time of the genesis, seconds since 1970
    uint32 genesisTime;
    /// difficulty of the first block
    uint32 genesisBits;
    /// seconds between blocks that the difficulty aims at
    uint32 targetSeconds;
    /// seconds behind or ahead of schedule that halve or double the difficulty
    uint32 halfLife;
    /// most tasks a block may carry
    uint16 maxTasks;
    /// easiest bits ever asked for, at most 2^239
    uint32 powLimit;
}

/// @notice What a project runs. A version never changes once added; tasks name the version they were made for.
struct Version {
    /// verifying key, keccak256 of its registered bytes
    bytes32 vkId;
    /// SHA-256 of the plugin bundle's manifest
    bytes32 bundleDigest;
    string bundleURI;
    /// ERC-20 the project pays in; may be zero only if the reward is
    address rewardToken;
    /// tokens per settled task, all shares included
    uint256 reward;
    /// messages per task at most, N
    uint32 batchSize;
    /// bytes per payload at most, L
    uint32 payloadLimit;
    /// seconds a sequencer may hold a message before it mines a partial batch
    uint32 maxWait;
    /// seconds an offer stands before anyone may move it on; at least the deployment's minAcceptWindow
    uint32 acceptWindow;
    /// seconds from acceptance to the deadline; at least the deployment's minProveWindow
    uint32 proveWindow;
    /// seconds after the deadline before the project may recall
    uint32 recallGrace;
    /// the sequencer's share of the reward, in hundredths of a percent
    uint16 sequencerShareBps;
    /// public outputs of the circuit
    uint16 outputs;
    /// receiver of the callback; zero for none
    address dapp;
    /// gas that the callback gets
    uint32 dappGas;
}

/// @notice What the task manager needs of a version, without the strings.
struct Terms {
    bool known;
    bool paused;
    address rewardToken;
    uint256 reward;
    uint32 batchSize;
    uint32 payloadLimit;
    uint32 acceptWindow;
    uint32 proveWindow;
    uint32 recallGrace;
    uint16 sequencerShareBps;
}

/// @notice A task as it stands in a block.
struct Task {
    uint64 project;
    uint32 version;
    /// messages in the batch
    uint32 count;
    uint256 dataCommitment;
    /// SHA-256 of the body
    bytes32 dataHash;
    /// bytes of the body
    uint32 size;
    /// last second the authorisation holds
    uint64 expiry;
    /// 65 bytes, by a sequencer key that the project listed
    bytes signature;
}

/// @notice A proving node's standing.
struct Prover {
    address beneficiary;
    uint128 stake;
    /// tasks it will hold at once
    uint32 capacity;
    /// tasks it holds: accepted and not ended
    uint32 used;
    /// offers open to it
    uint32 offered;
    bool paused;
    /// it let an offer or a deadline pass; drawn no more until it resumes
    bool idle;
    uint64 joined;
}

enum Status {
    None,
    Waiting,
    Offered,
    Accepted,
    Settled,
    Recalled,
    Dead
}

enum SkipReason {
    None,
    UnknownVersion,
    ProjectPaused,
    BadAuthorisation,
    Expired,
    DuplicateData,
    InsufficientFunds,
    BadCount,
    BadSize,
    BadCommitment
}

enum DeadReason {
    None,
    OffersExhausted,
    InsufficientFunds
}

/// @notice What the task manager keeps of a task. The order packs it into five words.
struct Record {
    Status status;
    /// offers and claims made so far
    uint8 attempt;
    /// escrow holds the reward for it
    bool withheld;
    uint32 version;
    uint64 project;
    /// height of the block that carried it
    uint64 height;
    /// end of the proving time; 0 before acceptance
    uint64 deadline;
    /// the offered or assigned prover; zero if none
    address prover;
    /// end of the current offer
    uint64 acceptBy;
    uint32 count;
    /// the key that authorised it, which earns the sequencer's share
    address sequencer;
    uint256 dataCommitment;
    bytes32 dataHash;
}
