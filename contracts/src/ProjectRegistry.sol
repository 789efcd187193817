// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {VerifyingKeys} from "./VerifyingKeys.sol";
import {Terms, Version, FIXED_INPUTS, MAX_OUTPUTS} from "./Types.sol";

/// @title Projects and their versions
/// @notice A project is its creator's: only the owner adds versions, lists sequencer keys, pauses. Versions are
/// immutable, so a change of mind never touches a task that was already mined.
contract ProjectRegistry {
    error NotProjectOwner(uint64 project, address caller);
    error NotPendingOwner(uint64 project, address caller);
    error UnknownProject(uint64 project);
    error UnknownVersion(uint64 project, uint32 version);
    error UnknownKey(bytes32 vkId);
    error WrongInputs(uint256 keyInputs, uint256 expected);
    error OutOfRange(string field, uint256 value, uint256 min, uint256 max);
    error NoCode(string field, address account);
    error ZeroAddress();
    error BadParams();

    event ProjectCreated(uint64 indexed project, address indexed owner);
    event VersionAdded(
        uint64 indexed project, uint32 indexed version, bytes32 vkId, bytes32 bundleDigest, string bundleURI
    );
    event SequencerSet(uint64 indexed project, address indexed key, bool allowed);
    event PausedSet(uint64 indexed project, bool paused);
    event OwnershipTransferStarted(uint64 indexed project, address indexed from, address indexed to);
    event OwnershipTransferred(uint64 indexed project, address indexed from, address indexed to);

    struct Project {
        address owner;
        uint32 versions;
        bool paused;
    }

    uint32 public constant MAX_BATCH = 4096;
    uint32 public constant MAX_PAYLOAD = 65_536;
    uint32 public constant MAX_WINDOW = 30 days;
    /// @notice With the protocol's share of at most a tenth, a prover always gets 40 % or more.
    uint16 public constant MAX_SEQUENCER_SHARE_BPS = 5_000;
    uint32 public constant MAX_DAPP_GAS = 5_000_000;
    uint256 public constant MAX_URI = 1024;

    VerifyingKeys public immutable keys;
    /// @notice Least seconds a prover gets to answer an offer. Shorter ones would pass before an honest prover's answer can
    /// be mined, and leave it idle.
    uint32 public immutable minAcceptWindow;
    /// @notice Least seconds from acceptance to the deadline. Shorter ones would only collect bonds.
    uint32 public immutable minProveWindow;

    uint64 public count;
    mapping(uint64 project => Project) private _projects;
    mapping(uint64 project => address) public pendingOwner;
    mapping(uint64 project => mapping(uint32 version => Version)) private _versions;
    mapping(uint64 project => mapping(address key => bool)) private _sequencers;

    modifier onlyOwner(uint64 project) {
        if (_projects[project].owner != msg.sender) revert NotProjectOwner(project, msg.sender);
        _;
    }

    /// @param minAcceptWindow_ least accept window of any version, 1 second to 30 days
    /// @param minProveWindow_ least prove window of any version, 1 second to 30 days
    constructor(VerifyingKeys keys_, uint32 minAcceptWindow_, uint32 minProveWindow_) {
        if (minAcceptWindow_ == 0 || minAcceptWindow_ > MAX_WINDOW) revert BadParams();
        if (minProveWindow_ == 0 || minProveWindow_ > MAX_WINDOW) revert BadParams();
        keys = keys_;
        minAcceptWindow = minAcceptWindow_;
        minProveWindow = minProveWindow_;
    }

    /// @notice Makes a project owned by the caller.
    /// @return project its number, from 1
    function create() external returns (uint64 project) {
        project = ++count;
        _projects[project].owner = msg.sender;
        emit ProjectCreated(project, msg.sender);
    }

    /// @notice Adds a version, which becomes the current one. Earlier versions stay valid for messages signed under them.
    /// @return version its number, from 1
    function addVersion(uint64 project, Version calldata v) external onlyOwner(project) returns (uint32 version) {
        _check(v);
        version = ++_projects[project].versions;
        _versions[project][version] = v;
        emit VersionAdded(project, version, v.vkId, v.bundleDigest, v.bundleURI);
    }

    /// @notice Lists a key whose signature makes a task payable from the project's escrow, or strikes it off.
    function setSequencer(uint64 project, address key, bool allowed) external onlyOwner(project) {
        if (key == address(0)) revert ZeroAddress();
        _sequencers[project][key] = allowed;
        emit SequencerSet(project, key, allowed);
    }

    /// @notice While paused, new tasks of the project are skipped. Mined ones go on.
    function setPaused(uint64 project, bool paused) external onlyOwner(project) {
        _projects[project].paused = paused;
        emit PausedSet(project, paused);
    }

    /// @notice Proposes a new owner, who must accept. Zero withdraws the proposal.
    function transferOwnership(uint64 project, address newOwner) external onlyOwner(project) {
        pendingOwner[project] = newOwner;
        emit OwnershipTransferStarted(project, msg.sender, newOwner);
    }

    /// @notice Completes a transfer; by the proposed owner.
    function acceptOwnership(uint64 project) external {
        if (pendingOwner[project] != msg.sender) revert NotPendingOwner(project, msg.sender);
        address from = _projects[project].owner;
        delete pendingOwner[project];
        _projects[project].owner = msg.sender;
        emit OwnershipTransferred(project, from, msg.sender);
    }

    function exists(uint64 project) external view returns (bool) {
        return _projects[project].owner != address(0);
    }

    /// @notice The owner; reverts for a project that does not exist.
    function ownerOf(uint64 project) external view returns (address) {
        address owner = _projects[project].owner;
        if (owner == address(0)) revert UnknownProject(project);
        return owner;
    }

    function isPaused(uint64 project) external view returns (bool) {
        return _projects[project].paused;
    }

    /// @notice The newest version; 0 if the project has none.
    function currentVersion(uint64 project) external view returns (uint32) {
        return _projects[project].versions;
    }

    function versionOf(uint64 project, uint32 version) external view returns (Version memory) {
        if (!_known(project, version)) revert UnknownVersion(project, version);
        return _versions[project][version];
    }

    function isSequencer(uint64 project, address key) external view returns (bool) {
        return _sequencers[project][key];
    }

    /// @notice What offering and accepting need. Does not revert: `known` says whether the version exists.
    function termsOf(uint64 project, uint32 version) external view returns (Terms memory t) {
        t.known = _known(project, version);
        if (!t.known) return t;
        Version storage v = _versions[project][version];
        t.paused = _projects[project].paused;
        t.rewardToken = v.rewardToken;
        t.reward = v.reward;
        t.batchSize = v.batchSize;
        t.payloadLimit = v.payloadLimit;
        t.acceptWindow = v.acceptWindow;
        t.proveWindow = v.proveWindow;
        t.recallGrace = v.recallGrace;
        t.sequencerShareBps = v.sequencerShareBps;
    }

    /// @notice What checking a proof and calling back need.
    function proofTermsOf(uint64 project, uint32 version)
        external
        view
        returns (bytes32 vkId, uint16 outputs, address dapp, uint32 dappGas)
    {
        Version storage v = _versions[project][version];
        return (v.vkId, v.outputs, v.dapp, v.dappGas);
    }

    function _known(uint64 project, uint32 version) private view returns (bool) {
        return version != 0 && version <= _projects[project].versions;
    }

    function _check(Version calldata v) private view {
        if (!keys.exists(v.vkId)) revert UnknownKey(v.vkId);
        _inRange("outputs", v.outputs, 0, MAX_OUTPUTS);
        uint256 inputs = keys.inputsOf(v.vkId);
        if (inputs != FIXED_INPUTS + v.outputs) revert WrongInputs(inputs, FIXED_INPUTS + v.outputs);
        _inRange("bundleURI", bytes(v.bundleURI).length, 0, MAX_URI);
        _inRange("reward", v.reward, 0, type(uint128).max);
        _inRange("batchSize", v.batchSize, 1, MAX_BATCH);
        _inRange("payloadLimit", v.payloadLimit, 1, MAX_PAYLOAD);
        _inRange("maxWait", v.maxWait, 0, MAX_WINDOW);
        _inRange("acceptWindow", v.acceptWindow, minAcceptWindow, MAX_WINDOW);
        _inRange("proveWindow", v.proveWindow, minProveWindow, MAX_WINDOW);
        _inRange("recallGrace", v.recallGrace, 0, MAX_WINDOW);
        _inRange("sequencerShareBps", v.sequencerShareBps, 0, MAX_SEQUENCER_SHARE_BPS);
        _inRange("dappGas", v.dappGas, 0, MAX_DAPP_GAS);
        if ((v.reward != 0 || v.rewardToken != address(0)) && v.rewardToken.code.length == 0) {
            revert NoCode("rewardToken", v.rewardToken);
        }
        if (v.dapp != address(0) && v.dapp.code.length == 0) revert NoCode("dapp", v.dapp);
    }

    function _inRange(string memory field, uint256 value, uint256 min, uint256 max) private pure {
        if (value < min || value > max) revert OutOfRange(field, value, min, max);
    }
}
