// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Compact} from "./Compact.sol";

/// @title ASERT (aserti3-2d): each block's target from its distance to the anchor's schedule
/// @notice Bitcoin Cash's algorithm, bit for bit: target · 2^((elapsed − spacing·(blocks + 1)) / halfLife), with a cubic
/// approximation of 2^x in 16.16 fixed point and division that truncates towards zero.
library Asert {
    /// @dev Largest power limit: with the factor below 2^17 the product stays within 256 bits.
    uint256 internal constant MAX_LIMIT = 1 << 239;

    /// @notice The bits that the block after the tip must carry.
    /// @param anchorBits the anchor block's own bits, not easier than the limit
    /// @param elapsed tip's time less the anchor's parent's time
    /// @param blocks tip's height less the anchor's height
    /// @param limit the easiest target, at most 2^239
    function nextBits(
        uint32 anchorBits,
        int256 elapsed,
        int256 blocks,
        uint256 spacing,
        uint256 halfLife,
        uint256 limit
    ) internal pure returns (uint32) {
        uint256 anchor = Compact.toTarget(anchorBits);
        // Times and heights are at most 64 bits wide, so nothing here comes near 256.
        // forge-lint: disable-next-item(unsafe-typecast)
        int256 exponent = ((elapsed - int256(spacing) * (blocks + 1)) * 65536) / int256(halfLife);
        // forge-lint: disable-next-item(unsafe-typecast)
        uint256 frac = uint256(exponent) & 0xffff;
        uint256 factor =
            65536 + ((195766423245049 * frac + 971821376 * frac * frac + 5127 * frac * frac * frac + (1 << 47)) >> 48);
        return Compact.fromTarget(_clamp(_shift(anchor * factor, (exponent >> 16) - 16), limit));
    }

    /// @dev Shifts left or right; the maximum stands for everything too wide.
    function _shift(uint256 value, int256 by) private pure returns (uint256) {
        // forge-lint: disable-start(unsafe-typecast)
        if (by <= 0) return by <= -256 ? 0 : value >> uint256(-by);
        if (by >= 256 || value >> (256 - uint256(by)) != 0) return type(uint256).max;
        return value << uint256(by);
        // forge-lint: disable-end(unsafe-typecast)
    }

    function _clamp(uint256 target, uint256 limit) private pure returns (uint256) {
        if (target == 0) return 1;
        return target > limit ? limit : target;
    }
}
