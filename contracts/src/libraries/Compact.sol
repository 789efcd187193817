// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Bitcoin's compact form of a 256-bit target
library Compact {
    /// @dev Zero, negative or wider than 256 bits.
    error BadCompact(uint32 bits);

    /// @notice The target that compact bits stand for.
    function toTarget(uint32 bits) internal pure returns (uint256 target) {
        uint256 size = bits >> 24;
        uint256 mantissa = bits & 0x007fffff;
        if (bits & 0x00800000 != 0) revert BadCompact(bits);
        if (size <= 3) {
            target = mantissa >> (8 * (3 - size));
        } else {
            uint256 shift = 8 * (size - 3);
            if (shift >= 256 || (mantissa << shift) >> shift != mantissa) revert BadCompact(bits);
            target = mantissa << shift;
        }
        if (target == 0) revert BadCompact(bits);
    }

    /// @notice The compact form of a target, its low bits cut off.
    function fromTarget(uint256 target) internal pure returns (uint32) {
        uint256 size = 0;
        for (uint256 rest = target; rest != 0; rest >>= 8) {
            ++size;
        }
        uint256 mantissa = size <= 3 ? target << (8 * (3 - size)) : target >> (8 * (size - 3));
        // The mantissa's top bit is a sign.
        if (mantissa & 0x00800000 != 0) {
            mantissa >>= 8;
            ++size;
        }
        // The mantissa has 23 bits and the size is at most 33.
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint32((size << 24) | mantissa);
    }
}
