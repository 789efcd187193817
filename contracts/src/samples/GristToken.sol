// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title A token to pay with on local chains
/// @notice Its owner mints at will: never use it where money is real.
contract GristToken is ERC20, Ownable {
    constructor(address owner) ERC20("Gristmill local token", "GRIST") Ownable(owner) {}

    function mint(address to, uint256 amount) external onlyOwner {
        _mint(to, amount);
    }
}
