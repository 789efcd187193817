// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {Registry} from "./Registry.sol";

/// @title Block rewards
/// @notice Anyone funds it with the chain's coin. Each block credits its beneficiary, who claims; when the pool is dry a
/// block earns what is left, down to nothing, and mining goes on.
contract RewardPool is ReentrancyGuardTransient {
    error NotMinter(address caller);
    error NothingOwed(address account);
    error ZeroAddress();

    event Funded(address indexed from, uint256 amount);
    event RewardCredited(address indexed beneficiary, uint256 amount);
    event RewardClaimed(address indexed beneficiary, address indexed to, uint256 amount);

    Registry public immutable registry;
    /// @notice Reward of a block while the pool lasts.
    uint256 public immutable blockReward;

    /// @notice What an account may claim.
    mapping(address account => uint256) public owed;
    /// @notice Sum of what all may claim.
    uint256 public totalOwed;

    constructor(Registry registry_, uint256 blockReward_) {
        registry = registry_;
        blockReward = blockReward_;
    }

    receive() external payable {
        emit Funded(msg.sender, msg.value);
    }

    /// @notice Credits a block's reward; by the block minter.
    /// @return amount what the pool could give
    function credit(address beneficiary) external returns (uint256 amount) {
        if (msg.sender != registry.minter()) revert NotMinter(msg.sender);
        uint256 left = address(this).balance - totalOwed;
        amount = blockReward < left ? blockReward : left;
        if (amount == 0) return 0;
        totalOwed += amount;
        owed[beneficiary] += amount;
        emit RewardCredited(beneficiary, amount);
    }

    /// @notice Pays out what the caller is owed.
    function claim(address to) external nonReentrant returns (uint256 amount) {
        amount = owed[msg.sender];
        if (amount == 0) revert NothingOwed(msg.sender);
        if (to == address(0)) revert ZeroAddress();
        owed[msg.sender] = 0;
        totalOwed -= amount;
        emit RewardClaimed(msg.sender, to, amount);
        Address.sendValue(payable(to), amount);
    }
}
