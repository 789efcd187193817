// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Parts, SCALAR_MODULUS} from "./Types.sol";

/// @dev What the parts were built for, as far as each has it.
interface IPart {
    function registry() external view returns (address);
    function projects() external view returns (address);
    function provers() external view returns (address);
    function keys() external view returns (address);
    function verifier() external view returns (address);
    function tasks() external view returns (address);
    function escrow() external view returns (address);
    function rewards() external view returns (address);
}

/// @title The root of a deployment
/// @notice Its address names the deployment in every digest. It holds the addresses of the parts, written once by the
/// account that deployed it; after that nobody can change anything here.
contract Registry {
    error NotDeployer(address caller);
    error AlreadySealed();
    error NotSealed();
    error NoCode(address part);
    error BuiltForOther(address part);

    event Sealed(bytes32 indexed deploymentId, Parts parts);

    /// @notice keccak256(chain id ‖ this address) mod r, in every digest, id and the genesis hash.
    bytes32 public immutable deploymentId;
    /// @notice The chain id of the deployment; a split-off chain with another id is not it.
    uint256 public immutable chainId;
    /// @notice May call `seal`, once.
    address public immutable deployer;

    Parts private _parts;

    constructor() {
        deployer = msg.sender;
        chainId = block.chainid;
        deploymentId = bytes32(uint256(keccak256(abi.encodePacked(block.chainid, address(this)))) % SCALAR_MODULUS);
    }

    /// @notice Writes the addresses of the parts, once and for good. Each must have been built for this registry and for the
    /// other parts named here: they hold each other for ever, and two that disagree would lose money in between.
    function seal(Parts calldata p) external {
        if (msg.sender != deployer) revert NotDeployer(msg.sender);
        if (_parts.projects != address(0)) revert AlreadySealed();
        _requireCode(p.projects);
        _requireCode(p.devices);
        _requireCode(p.sequencers);
        _requireCode(p.keys);
        _requireCode(p.verifier);
        _requireOurs(p.provers);
        _requireOurs(p.minter);
        _requireOurs(p.tasks);
        _requireOurs(p.escrow);
        _requireOurs(p.rewards);
        _requireWired(p);
        _parts = p;
        emit Sealed(deploymentId, p);
    }

    /// @notice All parts; reverts before `seal`.
    function parts() external view returns (Parts memory) {
        if (_parts.projects == address(0)) revert NotSealed();
        return _parts;
    }

    /// @notice The task manager; zero before `seal`, so that its hooks are shut.
    function tasks() external view returns (address) {
        return _parts.tasks;
    }

    /// @notice The block minter; zero before `seal`, so that its hooks are shut.
    function minter() external view returns (address) {
        return _parts.minter;
    }

    function _requireOurs(address part) private view {
        _requireCode(part);
        _requireSame(part, IPart(part).registry(), address(this));
    }

    function _requireWired(Parts calldata p) private view {
        _requireSame(p.projects, IPart(p.projects).keys(), p.keys);
        _requireSame(p.verifier, IPart(p.verifier).keys(), p.keys);
        _requireSame(p.devices, IPart(p.devices).projects(), p.projects);
        _requireSame(p.provers, IPart(p.provers).projects(), p.projects);
        _requireSame(p.escrow, IPart(p.escrow).projects(), p.projects);
        _requireSame(p.tasks, IPart(p.tasks).projects(), p.projects);
        _requireSame(p.tasks, IPart(p.tasks).provers(), p.provers);
        _requireSame(p.tasks, IPart(p.tasks).escrow(), p.escrow);
        _requireSame(p.tasks, IPart(p.tasks).verifier(), p.verifier);
        _requireSame(p.minter, IPart(p.minter).tasks(), p.tasks);
        _requireSame(p.minter, IPart(p.minter).rewards(), p.rewards);
    }

    function _requireSame(address part, address got, address want) private pure {
        if (got != want) revert BuiltForOther(part);
    }

    function _requireCode(address part) private view {
        if (part.code.length == 0) revert NoCode(part);
    }
}
