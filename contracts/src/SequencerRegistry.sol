// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Where the bodies of an operator's blocks are served
/// @notice Only an endpoint book: it gives no right. Whoever mines a block is found here by the coinbase's operator.
contract SequencerRegistry {
    error TooManyURLs(uint256 got, uint256 max);
    error BadURLLength(uint256 index, uint256 got, uint256 max);

    event SequencerSet(address indexed operator, string[] urls);

    uint256 public constant MAX_URLS = 8;
    uint256 public constant MAX_URL = 256;

    mapping(address operator => string[]) private _urls;

    /// @notice Replaces the caller's endpoint URLs. An empty list removes the entry.
    function register(string[] calldata urls) external {
        if (urls.length > MAX_URLS) revert TooManyURLs(urls.length, MAX_URLS);
        delete _urls[msg.sender];
        for (uint256 i = 0; i < urls.length; ++i) {
            uint256 length = bytes(urls[i]).length;
            if (length == 0 || length > MAX_URL) revert BadURLLength(i, length, MAX_URL);
            _urls[msg.sender].push(urls[i]);
        }
        emit SequencerSet(msg.sender, urls);
    }

    function urlsOf(address operator) external view returns (string[] memory) {
        return _urls[operator];
    }
}
