// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev The cheat codes of forge that the tests use. forge-std is not on npm; this is all of it that is needed.
interface Vm {
    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    struct DirEntry {
        string errorMessage;
        string path;
        uint64 depth;
        bool isDir;
        bool isSymlink;
    }

    function addr(uint256 key) external pure returns (address);
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function warp(uint256 time) external;
    function roll(uint256 number) external;
    function chainId(uint256 id) external;
    function load(address account, bytes32 slot) external view returns (bytes32);
    function cool(address account) external;
    function mockCall(address target, bytes calldata data, bytes calldata answer) external;
    function clearMockedCalls() external;
    function deal(address who, uint256 balance) external;
    function prank(address sender) external;
    function startPrank(address sender) external;
    function stopPrank() external;
    function expectRevert() external;
    function expectRevert(bytes4 selector) external;
    function expectRevert(bytes calldata data) external;
    function expectPartialRevert(bytes4 selector) external;
    function expectEmit(bool topic1, bool topic2, bool topic3, bool data, address emitter) external;
    function recordLogs() external;
    function getRecordedLogs() external returns (Log[] memory);
    function assume(bool condition) external pure;
    function snapshotState() external returns (uint256);
    function revertToState(uint256 id) external returns (bool);
    function snapshotValue(string calldata group, string calldata name, uint256 value) external;
    function readFile(string calldata path) external view returns (string memory);
    function readDir(string calldata path) external view returns (DirEntry[] memory);
    function envOr(string calldata name, string calldata fallbackValue) external view returns (string memory);
    function split(string calldata text, string calldata by) external pure returns (string[] memory);
    function trim(string calldata text) external pure returns (string memory);
    function contains(string calldata text, string calldata part) external pure returns (bool);
    function parseUint(string calldata text) external pure returns (uint256);
    function parseInt(string calldata text) external pure returns (int256);
    function parseBytes32(string calldata text) external pure returns (bytes32);
    function parseJsonUint(string calldata json, string calldata key) external pure returns (uint256);
    function parseJsonUintArray(string calldata json, string calldata key) external pure returns (uint256[] memory);
    function parseJsonBool(string calldata json, string calldata key) external pure returns (bool);
    function parseJsonBytes(string calldata json, string calldata key) external pure returns (bytes memory);
    function parseJsonBytesArray(string calldata json, string calldata key) external pure returns (bytes[] memory);
    function parseJsonBytes32(string calldata json, string calldata key) external pure returns (bytes32);
    function parseJsonBytes32Array(string calldata json, string calldata key) external pure returns (bytes32[] memory);
    function parseJsonAddressArray(string calldata json, string calldata key) external pure returns (address[] memory);
    function parseJsonAddress(string calldata json, string calldata key) external pure returns (address);
    function parseJsonString(string calldata json, string calldata key) external pure returns (string memory);
    function keyExistsJson(string calldata json, string calldata key) external view returns (bool);
    function toString(uint256 value) external pure returns (string memory);
}

Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

/// @dev Assertions that say what they saw.
abstract contract Test {
    bool public constant IS_TEST = true;

    error NotEqualUint(string what, uint256 got, uint256 want);
    error NotEqualInt(string what, int256 got, int256 want);
    error NotEqualBytes32(string what, bytes32 got, bytes32 want);
    error NotEqualAddress(string what, address got, address want);
    error NotEqualBytes(string what, bytes got, bytes want);
    error NotTrue(string what);

    function eq(uint256 got, uint256 want, string memory what) internal pure {
        if (got != want) revert NotEqualUint(what, got, want);
    }

    function eq(int256 got, int256 want, string memory what) internal pure {
        if (got != want) revert NotEqualInt(what, got, want);
    }

    function eq(bytes32 got, bytes32 want, string memory what) internal pure {
        if (got != want) revert NotEqualBytes32(what, got, want);
    }

    function eq(address got, address want, string memory what) internal pure {
        if (got != want) revert NotEqualAddress(what, got, want);
    }

    function eq(bytes memory got, bytes memory want, string memory what) internal pure {
        if (keccak256(got) != keccak256(want)) revert NotEqualBytes(what, got, want);
    }

    function yes(bool got, string memory what) internal pure {
        if (!got) revert NotTrue(what);
    }

    function no(bool got, string memory what) internal pure {
        if (got) revert NotTrue(what);
    }

    function bound(uint256 x, uint256 min, uint256 max) internal pure returns (uint256) {
        return min + x % (max - min + 1);
    }
}

/// @dev Walks a file of golden vectors: {"cases": [flat objects]}, integers as decimal strings.
library Vectors {
    struct Cursor {
        string json;
        string prefix;
    }

    function open(string memory name) internal view returns (Cursor memory) {
        return Cursor(vm.readFile(string.concat("../wire/testdata/", name)), "");
    }

    /// @dev Moves to case i; false past the last.
    function seek(Cursor memory c, uint256 i) internal view returns (bool) {
        c.prefix = string.concat(".cases[", vm.toString(i), "]");
        return vm.keyExistsJson(c.json, c.prefix);
    }

    function key(Cursor memory c, string memory field) internal pure returns (string memory) {
        return string.concat(c.prefix, ".", field);
    }

    function number(Cursor memory c, string memory field) internal pure returns (uint256) {
        return vm.parseJsonUint(c.json, key(c, field));
    }

    function signed(Cursor memory c, string memory field) internal pure returns (int256) {
        return vm.parseInt(text(c, field));
    }

    function flag(Cursor memory c, string memory field) internal pure returns (bool) {
        return vm.parseJsonBool(c.json, key(c, field));
    }

    function text(Cursor memory c, string memory field) internal pure returns (string memory) {
        return vm.parseJsonString(c.json, key(c, field));
    }

    function word(Cursor memory c, string memory field) internal pure returns (bytes32) {
        return vm.parseJsonBytes32(c.json, key(c, field));
    }

    function words(Cursor memory c, string memory field) internal pure returns (bytes32[] memory) {
        return vm.parseJsonBytes32Array(c.json, key(c, field));
    }

    function data(Cursor memory c, string memory field) internal pure returns (bytes memory) {
        return vm.parseJsonBytes(c.json, key(c, field));
    }

    function datas(Cursor memory c, string memory field) internal pure returns (bytes[] memory) {
        return vm.parseJsonBytesArray(c.json, key(c, field));
    }

    function numbers(Cursor memory c, string memory field) internal pure returns (uint256[] memory) {
        return vm.parseJsonUintArray(c.json, key(c, field));
    }

    function accounts(Cursor memory c, string memory field) internal pure returns (address[] memory) {
        return vm.parseJsonAddressArray(c.json, key(c, field));
    }

    function account(Cursor memory c, string memory field) internal pure returns (address) {
        return vm.parseJsonAddress(c.json, key(c, field));
    }
}
