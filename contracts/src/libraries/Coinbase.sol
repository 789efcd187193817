// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title A block's leaf 0
/// @notice "gristmill coinbase v1" ‖ deploymentId 32 ‖ minter 20 ‖ operator 20 ‖ beneficiary 20 ‖ height u64 ‖
/// task count u32 ‖ extra nonce, 8 to 32 bytes, to the end.
library Coinbase {
    error BadCoinbaseLength(uint256 got);
    error BadCoinbaseTag();

    struct Fields {
        bytes32 deploymentId;
        address minter;
        address operator;
        address beneficiary;
        uint64 height;
        uint32 taskCount;
    }

    bytes21 private constant TAG = "gristmill coinbase v1";
    uint256 private constant FIXED = 125;
    uint256 private constant MIN_EXTRA_NONCE = 8;
    uint256 private constant MAX_EXTRA_NONCE = 32;

    function parse(bytes calldata raw) internal pure returns (Fields memory f) {
        if (raw.length < FIXED + MIN_EXTRA_NONCE || raw.length > FIXED + MAX_EXTRA_NONCE) {
            revert BadCoinbaseLength(raw.length);
        }
        if (bytes21(raw[0:21]) != TAG) revert BadCoinbaseTag();
        f.deploymentId = bytes32(raw[21:53]);
        f.minter = address(bytes20(raw[53:73]));
        f.operator = address(bytes20(raw[73:93]));
        f.beneficiary = address(bytes20(raw[93:113]));
        f.height = uint64(bytes8(raw[113:121]));
        f.taskCount = uint32(bytes4(raw[121:125]));
    }
}
