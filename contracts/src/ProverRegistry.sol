// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {ProjectRegistry} from "./ProjectRegistry.sol";
import {Registry} from "./Registry.sol";
import {Prover, BPS} from "./Types.sol";

/// @title Provers: stake, capacity, opt-ins and the draw
/// @notice An operator joins with a stake in the chain's coin and opts in to projects. The task manager draws among the
/// operators of a project that are up (not paused, not idle, staked) and have room. One bond per task it holds stays
/// locked. Nobody has authority over a prover but its operator and, for money, its beneficiary.
contract ProverRegistry is ReentrancyGuardTransient {
    error NotTaskManager(address caller);
    error NotJoined(address operator);
    error AlreadyJoined(address operator);
    error NotBeneficiary(address operator, address caller);
    error ZeroAddress();
    error ZeroCapacity();
    error StakeTooLow(uint256 stake, uint256 needed);
    error StakeTooHigh(uint256 stake);
    error BadParams();
    error UnknownProject(uint64 project);
    error AlreadyOptedIn(uint64 project, address operator);
    error NotOptedIn(uint64 project, address operator);
    error TooManyOptIns(uint256 max);
    error NotEligible(uint64 project, address operator);
    error NothingOwed(address account);

    event ProverJoined(address indexed operator, address indexed beneficiary, uint32 capacity);
    event Staked(address indexed operator, uint256 amount, uint256 stake);
    event Unstaked(address indexed operator, address indexed to, uint256 amount, uint256 stake);
    event CapacitySet(address indexed operator, uint32 capacity);
    event BeneficiarySet(address indexed operator, address indexed beneficiary);
    event OptedIn(uint64 indexed project, address indexed operator);
    event OptedOut(uint64 indexed project, address indexed operator);
    event PausedSet(address indexed operator, bool paused);
    event IdleSet(address indexed operator, bool idle);
    event Slashed(address indexed operator, uint256 amount, address indexed caller, uint256 bounty);
    event BountyClaimed(address indexed account, address indexed to, uint256 amount);

    /// @notice Bounds the work of `resume` and of a stake that brings a prover back.
    uint256 public constant MAX_OPT_INS = 32;
    /// @notice Candidates that one draw looks at, at most: its cost does not grow with the number of provers.
    uint256 public constant MAX_PROBES = 8;
    /// @notice Share of a slashed bond that goes to whoever reported it; the rest is burnt (it stays here for ever).
    uint256 public constant BOUNTY_BPS = 1_000;

    Registry public immutable registry;
    ProjectRegistry public immutable projects;
    /// @notice Stake that joining takes.
    uint256 public immutable minStake;
    /// @notice Stake locked by each task held, and lost if its deadline passes.
    uint256 public immutable bondPerTask;

    mapping(address operator => Prover) private _provers;
    mapping(address operator => uint64[]) private _optIns;
    mapping(uint64 project => mapping(address operator => bool)) private _optedIn;
    /// @dev Who may be drawn. Those that went down are taken out when a draw meets them and put back when they return.
    mapping(uint64 project => address[]) private _active;
    /// @dev Place in `_active`, plus one.
    mapping(uint64 project => mapping(address operator => uint256)) private _place;
    /// @notice Bounties to be claimed.
    mapping(address account => uint256) public owed;

    modifier onlyTasks() {
        if (msg.sender != registry.tasks()) revert NotTaskManager(msg.sender);
        _;
    }

    modifier onlyJoined() {
        if (_provers[msg.sender].joined == 0) revert NotJoined(msg.sender);
        _;
    }

    constructor(Registry registry_, ProjectRegistry projects_, uint256 minStake_, uint256 bondPerTask_) {
        if (bondPerTask_ == 0 || minStake_ < bondPerTask_ || minStake_ > type(uint128).max) revert BadParams();
        registry = registry_;
        projects = projects_;
        minStake = minStake_;
        bondPerTask = bondPerTask_;
    }

    // ---- by the operator

    /// @notice Joins with a stake. Rewards and returned stake go to the beneficiary.
    function join(address beneficiary, uint32 capacity) external payable {
        Prover storage p = _provers[msg.sender];
        if (p.joined != 0) revert AlreadyJoined(msg.sender);
        if (beneficiary == address(0)) revert ZeroAddress();
        if (capacity == 0) revert ZeroCapacity();
        if (msg.value < minStake) revert StakeTooLow(msg.value, minStake);
        p.beneficiary = beneficiary;
        p.joined = uint64(block.timestamp);
        p.capacity = capacity;
        emit ProverJoined(msg.sender, beneficiary, capacity);
        _addStake(p);
    }

    /// @notice Adds to the stake.
    function stake() external payable onlyJoined {
        Prover storage p = _provers[msg.sender];
        _addStake(p);
        if (_isUp(p)) _activateAll();
    }

    /// @notice Pays stake back to the beneficiary, never below the bonds of open tasks and offers.
    function unstake(uint256 amount) external onlyJoined nonReentrant {
        Prover storage p = _provers[msg.sender];
        uint256 needed = (uint256(p.used) + p.offered) * bondPerTask;
        if (amount > p.stake || p.stake - amount < needed) revert StakeTooLow(p.stake, needed + amount);
        // amount is at most the stake, which is a uint128
        // forge-lint: disable-next-line(unsafe-typecast)
        p.stake -= uint128(amount);
        emit Unstaked(msg.sender, p.beneficiary, amount, p.stake);
        Address.sendValue(payable(p.beneficiary), amount);
    }

    /// @notice Sets how many tasks the operator will hold at once. Tasks already held stay.
    function setCapacity(uint32 capacity) external onlyJoined {
        if (capacity == 0) revert ZeroCapacity();
        _provers[msg.sender].capacity = capacity;
        emit CapacitySet(msg.sender, capacity);
    }

    /// @notice Hands the money side to another account. Only the beneficiary may, so that a stolen operator key cannot.
    function setBeneficiary(address operator, address beneficiary) external {
        Prover storage p = _provers[operator];
        if (p.joined == 0) revert NotJoined(operator);
        if (msg.sender != p.beneficiary) revert NotBeneficiary(operator, msg.sender);
        if (beneficiary == address(0)) revert ZeroAddress();
        p.beneficiary = beneficiary;
        emit BeneficiarySet(operator, beneficiary);
    }

    /// @notice Takes part in a project's draws.
    function optIn(uint64 project) external onlyJoined {
        if (!projects.exists(project)) revert UnknownProject(project);
        if (_optedIn[project][msg.sender]) revert AlreadyOptedIn(project, msg.sender);
        if (_optIns[msg.sender].length >= MAX_OPT_INS) revert TooManyOptIns(MAX_OPT_INS);
        _optedIn[project][msg.sender] = true;
        _optIns[msg.sender].push(project);
        if (_isUp(_provers[msg.sender])) _activate(project, msg.sender);
        emit OptedIn(project, msg.sender);
    }

    /// @notice Leaves a project's draws. Tasks and offers at hand stay.
    function optOut(uint64 project) external onlyJoined {
        if (!_optedIn[project][msg.sender]) revert NotOptedIn(project, msg.sender);
        _optedIn[project][msg.sender] = false;
        _removeOptIn(_optIns[msg.sender], project);
        _deactivate(project, msg.sender);
        emit OptedOut(project, msg.sender);
    }

    /// @notice No new offers until `resume`.
    function pause() external onlyJoined {
        _provers[msg.sender].paused = true;
        emit PausedSet(msg.sender, true);
    }

    /// @notice Ends a pause, and the idleness of an operator that had let an offer or a deadline pass.
    function resume() external onlyJoined {
        Prover storage p = _provers[msg.sender];
        if (p.paused) {
            p.paused = false;
            emit PausedSet(msg.sender, false);
        }
        _setIdle(p, msg.sender, false);
        if (_isUp(p)) _activateAll();
    }

    /// @notice Pays out bounties for reported deadlines.
    function claimBounty(address to) external nonReentrant {
        uint256 amount = owed[msg.sender];
        if (amount == 0) revert NothingOwed(msg.sender);
        if (to == address(0)) revert ZeroAddress();
        owed[msg.sender] = 0;
        emit BountyClaimed(msg.sender, to, amount);
        Address.sendValue(payable(to), amount);
    }

    // ---- by the task manager

    /// @notice Draws a prover for an offer and counts the offer against its room.
    /// @dev Begins at place `seed mod n` of the n in the project's list and looks at MAX_PROBES places at most. One that went
    /// down is taken out, and the last of the list, now in its place, is looked at next; one without room, and `except`
    /// unless it is alone in the list, gives its turn to the next, after the last the first.
    /// @param except who had the task before: it declined, was silent or late
    /// @return the operator, or zero if none of those looked at has room
    function draw(uint64 project, uint256 seed, address except) external onlyTasks returns (address) {
        address[] storage active = _active[project];
        uint256 n = active.length;
        if (n == 0) return address(0);
        uint256 i = seed % n;
        for (uint256 probe = 0; probe < MAX_PROBES; ++probe) {
            address operator = active[i];
            Prover storage p = _provers[operator];
            if (!_isUp(p)) {
                // The last one moves into its place.
                _deactivate(project, operator);
                if (--n == 0) return address(0);
                if (i == n) i = 0;
            } else if (_hasRoom(p) && (operator != except || n == 1)) {
                ++p.offered;
                return operator;
            } else {
                if (++i == n) i = 0;
            }
        }
        return address(0);
    }

    /// @notice The operator accepted `n` offers.
    function take(address operator, uint32 n) external onlyTasks {
        Prover storage p = _provers[operator];
        p.offered -= n;
        p.used += n;
        uint256 needed = uint256(p.used) * bondPerTask;
        if (p.stake < needed) revert StakeTooLow(p.stake, needed);
    }

    /// @notice The operator takes a task that nobody was drawn for.
    function takeWaiting(address operator, uint64 project) external onlyTasks {
        Prover storage p = _provers[operator];
        if (!_optedIn[project][operator] || !_isUp(p) || !_hasRoom(p)) revert NotEligible(project, operator);
        ++p.used;
    }

    /// @notice An accepted task ended.
    function release(address operator) external onlyTasks {
        --_provers[operator].used;
    }

    /// @notice An offer ended without fault.
    function dropOffer(address operator) external onlyTasks {
        --_provers[operator].offered;
    }

    /// @notice An offer passed in silence: the operator is drawn no more until it resumes.
    function missOffer(address operator) external onlyTasks {
        Prover storage p = _provers[operator];
        --p.offered;
        _setIdle(p, operator, true);
    }

    /// @notice A deadline passed: the operator loses one bond and is drawn no more until it resumes.
    /// @param caller gets the bounty; zero if all is to be burnt
    function slash(address operator, address caller) external onlyTasks returns (uint256 amount) {
        Prover storage p = _provers[operator];
        --p.used;
        amount = bondPerTask < p.stake ? bondPerTask : p.stake;
        // amount is at most the stake, which is a uint128
        // forge-lint: disable-next-line(unsafe-typecast)
        p.stake -= uint128(amount);
        uint256 bounty = caller == address(0) ? 0 : amount * BOUNTY_BPS / BPS;
        if (bounty != 0) owed[caller] += bounty;
        emit Slashed(operator, amount, caller, bounty);
        _setIdle(p, operator, true);
    }

    // ---- views

    function proverOf(address operator) external view returns (Prover memory) {
        return _provers[operator];
    }

    function isOptedIn(uint64 project, address operator) external view returns (bool) {
        return _optedIn[project][operator];
    }

    /// @notice The projects an operator opted in to.
    function optInsOf(address operator) external view returns (uint64[] memory) {
        return _optIns[operator];
    }

    /// @notice Those in a project's draw; may include some that went down and were not met by a draw yet.
    function activeCount(uint64 project) external view returns (uint256) {
        return _active[project].length;
    }

    // ---- inside

    function _isUp(Prover storage p) private view returns (bool) {
        return !p.paused && !p.idle && p.stake >= bondPerTask;
    }

    function _hasRoom(Prover storage p) private view returns (bool) {
        uint256 held = uint256(p.used) + p.offered;
        return held < p.capacity && p.stake >= (held + 1) * bondPerTask;
    }

    function _addStake(Prover storage p) private {
        uint256 sum = p.stake + msg.value;
        if (sum > type(uint128).max) revert StakeTooHigh(sum);
        // forge-lint: disable-next-line(unsafe-typecast)
        p.stake = uint128(sum);
        emit Staked(msg.sender, msg.value, sum);
    }

    function _setIdle(Prover storage p, address operator, bool idle) private {
        if (p.idle == idle) return;
        p.idle = idle;
        emit IdleSet(operator, idle);
    }

    function _activateAll() private {
        uint64[] storage mine = _optIns[msg.sender];
        for (uint256 i = 0; i < mine.length; ++i) {
            _activate(mine[i], msg.sender);
        }
    }

    function _activate(uint64 project, address operator) private {
        if (_place[project][operator] != 0) return;
        _active[project].push(operator);
        _place[project][operator] = _active[project].length;
    }

    function _deactivate(uint64 project, address operator) private {
        uint256 place = _place[project][operator];
        if (place == 0) return;
        address[] storage active = _active[project];
        address last = active[active.length - 1];
        active[place - 1] = last;
        _place[project][last] = place;
        active.pop();
        _place[project][operator] = 0;
    }

    function _removeOptIn(uint64[] storage list, uint64 project) private {
        uint256 last = list.length - 1;
        for (uint256 i = 0; i < last; ++i) {
            if (list[i] == project) {
                list[i] = list[last];
                break;
            }
        }
        list.pop();
    }
}
