// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {ProjectRegistry} from "./ProjectRegistry.sol";
import {Registry} from "./Registry.sol";
import {BPS} from "./Types.sol";

/// @title What projects pay from
/// @notice Every token held is free (a project's), withheld (for an accepted task) or owed (to somebody who may claim it).
/// Deposits count what arrived, so tokens that take a fee are right; tokens whose balances change by themselves are not
/// supported. Money leaves only by `withdraw` and `claim`, pulled by its owner.
contract Escrow is ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    error NotTaskManager(address caller);
    error NotProjectOwner(uint64 project, address caller);
    error UnknownProject(uint64 project);
    error InsufficientFunds(uint64 project, address token, uint256 needed, uint256 free);
    error NothingReceived(address token);
    error NothingOwed(address token, address account);
    error DepositTooLarge(uint256 total);
    error ZeroAddress();
    error BadParams();

    event Deposited(uint64 indexed project, address indexed token, address indexed from, uint256 amount);
    event Withdrawn(uint64 indexed project, address indexed token, address indexed to, uint256 amount);
    event Withheld(bytes32 indexed taskId, uint64 indexed project, address token, uint256 amount);
    event Paid(bytes32 indexed taskId, address indexed account, address token, uint256 amount);
    event Refunded(bytes32 indexed taskId, uint64 indexed project, address token, uint256 amount);
    event Claimed(address indexed account, address indexed token, address indexed to, uint256 amount);

    struct Pot {
        uint128 free;
        uint128 withheld;
    }

    /// @notice How a settled task's reward was split.
    struct Split {
        uint256 prover;
        uint256 sequencer;
        uint256 protocol;
    }

    uint16 public constant MAX_PROTOCOL_SHARE_BPS = 1_000;

    Registry public immutable registry;
    ProjectRegistry public immutable projects;
    /// @notice Receives the protocol's share; fixed at deployment.
    address public immutable treasury;
    /// @notice The protocol's share of every reward; fixed at deployment.
    uint16 public immutable protocolShareBps;

    mapping(uint64 project => mapping(address token => Pot)) private _pots;
    /// @notice What an account may claim.
    mapping(address token => mapping(address account => uint256)) public owed;

    modifier onlyTasks() {
        if (msg.sender != registry.tasks()) revert NotTaskManager(msg.sender);
        _;
    }

    constructor(Registry registry_, ProjectRegistry projects_, address treasury_, uint16 protocolShareBps_) {
        if (protocolShareBps_ > MAX_PROTOCOL_SHARE_BPS) revert BadParams();
        if (protocolShareBps_ != 0 && treasury_ == address(0)) revert ZeroAddress();
        registry = registry_;
        projects = projects_;
        treasury = treasury_;
        protocolShareBps = protocolShareBps_;
    }

    /// @notice Adds the caller's tokens to a project's free money.
    function deposit(uint64 project, address token, uint256 amount) external nonReentrant {
        if (!projects.exists(project)) revert UnknownProject(project);
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = IERC20(token).balanceOf(address(this)) - before;
        if (received == 0) revert NothingReceived(token);
        Pot storage pot = _pots[project][token];
        uint256 total = uint256(pot.free) + pot.withheld + received;
        // Bounding the sum keeps refunds within the type as well.
        if (total > type(uint128).max) revert DepositTooLarge(total);
        // forge-lint: disable-next-line(unsafe-typecast)
        pot.free += uint128(received);
        emit Deposited(project, token, msg.sender, received);
    }

    /// @notice Takes a project's free money out; by its owner.
    function withdraw(uint64 project, address token, uint256 amount, address to) external nonReentrant {
        if (projects.ownerOf(project) != msg.sender) revert NotProjectOwner(project, msg.sender);
        if (to == address(0)) revert ZeroAddress();
        Pot storage pot = _pots[project][token];
        if (amount > pot.free) revert InsufficientFunds(project, token, amount, pot.free);
        // amount is at most the free money, which is a uint128
        // forge-lint: disable-next-line(unsafe-typecast)
        pot.free -= uint128(amount);
        emit Withdrawn(project, token, to, amount);
        IERC20(token).safeTransfer(to, amount);
    }

    /// @notice Pays out what the caller is owed.
    function claim(address token, address to) external nonReentrant returns (uint256 amount) {
        amount = owed[token][msg.sender];
        if (amount == 0) revert NothingOwed(token, msg.sender);
        if (to == address(0)) revert ZeroAddress();
        owed[token][msg.sender] = 0;
        emit Claimed(msg.sender, token, to, amount);
        IERC20(token).safeTransfer(to, amount);
    }

    // ---- by the task manager, which calls each once per withholding

    /// @notice Sets a reward aside for an accepted task.
    function withhold(bytes32 taskId, uint64 project, address token, uint256 amount) external onlyTasks {
        Pot storage pot = _pots[project][token];
        if (amount > pot.free) revert InsufficientFunds(project, token, amount, pot.free);
        // amount is at most the free money, and free + withheld stays within uint128
        // forge-lint: disable-next-item(unsafe-typecast)
        pot.free -= uint128(amount);
        // forge-lint: disable-next-line(unsafe-typecast)
        pot.withheld += uint128(amount);
        emit Withheld(taskId, project, token, amount);
    }

    /// @notice Turns a withheld reward into what the prover, the sequencer and the protocol may claim.
    function settle(
        bytes32 taskId,
        uint64 project,
        address token,
        uint256 amount,
        uint16 sequencerShareBps,
        address prover,
        address sequencer
    ) external onlyTasks returns (Split memory split) {
        // rewards are bounded by uint128
        // forge-lint: disable-next-line(unsafe-typecast)
        _pots[project][token].withheld -= uint128(amount);
        split.protocol = amount * protocolShareBps / BPS;
        split.sequencer = amount * sequencerShareBps / BPS;
        split.prover = amount - split.protocol - split.sequencer;
        _credit(taskId, prover, token, split.prover);
        _credit(taskId, sequencer, token, split.sequencer);
        _credit(taskId, treasury, token, split.protocol);
    }

    /// @notice Gives a withheld reward back to the project.
    function refund(bytes32 taskId, uint64 project, address token, uint256 amount) external onlyTasks {
        Pot storage pot = _pots[project][token];
        // forge-lint: disable-next-line(unsafe-typecast)
        pot.withheld -= uint128(amount);
        // forge-lint: disable-next-line(unsafe-typecast)
        pot.free += uint128(amount);
        emit Refunded(taskId, project, token, amount);
    }

    // ---- views

    function freeOf(uint64 project, address token) external view returns (uint256) {
        return _pots[project][token].free;
    }

    function withheldOf(uint64 project, address token) external view returns (uint256) {
        return _pots[project][token].withheld;
    }

    function _credit(bytes32 taskId, address account, address token, uint256 amount) private {
        if (amount == 0) return;
        owed[token][account] += amount;
        emit Paid(taskId, account, token, amount);
    }
}
