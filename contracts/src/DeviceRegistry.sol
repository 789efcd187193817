// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ProjectRegistry} from "./ProjectRegistry.sol";

/// @title Device allow-lists
/// @notice Sequencers check them at ingest, provers before they accept, and the audit afterwards.
contract DeviceRegistry {
    error NotProjectOwner(uint64 project, address caller);

    event DeviceSet(uint64 indexed project, bytes32 indexed deviceId, bool allowed);
    event OpenSet(uint64 indexed project, bool open);

    ProjectRegistry public immutable projects;

    /// @notice True if the project takes messages of any device.
    mapping(uint64 project => bool) public isOpen;
    mapping(uint64 project => mapping(bytes32 deviceId => bool)) private _listed;

    modifier onlyOwner(uint64 project) {
        if (projects.ownerOf(project) != msg.sender) revert NotProjectOwner(project, msg.sender);
        _;
    }

    constructor(ProjectRegistry projects_) {
        projects = projects_;
    }

    /// @notice Lists devices or strikes them off.
    function setDevices(uint64 project, bytes32[] calldata deviceIds, bool allowed) external onlyOwner(project) {
        for (uint256 i = 0; i < deviceIds.length; ++i) {
            _listed[project][deviceIds[i]] = allowed;
            emit DeviceSet(project, deviceIds[i], allowed);
        }
    }

    /// @notice Opens the project to any device, or closes it to the listed ones.
    function setOpen(uint64 project, bool open) external onlyOwner(project) {
        isOpen[project] = open;
        emit OpenSet(project, open);
    }

    /// @notice Whether the project takes messages of the device.
    function isAllowed(uint64 project, bytes32 deviceId) external view returns (bool) {
        return isOpen[project] || _listed[project][deviceId];
    }
}
