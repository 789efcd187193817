// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {Escrow} from "../src/Escrow.sol";
import {RewardPool} from "../src/RewardPool.sol";
import {Deployed} from "./Deployed.sol";
import {LyingToken, ReentrantToken, SilentToken, TaxedToken} from "./Tokens.sol";
import {vm} from "./Vm.sol";

contract EscrowTest is Deployed {
    function test_depositAndWithdraw() public {
        uint256 free = escrow.freeOf(PROJECT, address(token));
        eq(free, 100 * REWARD, "deposited");
        vm.prank(OUTSIDER);
        vm.expectRevert(abi.encodeWithSelector(Escrow.NotProjectOwner.selector, PROJECT, OUTSIDER));
        escrow.withdraw(PROJECT, address(token), 1, OUTSIDER);
        vm.startPrank(OWNER);
        vm.expectRevert(
            abi.encodeWithSelector(Escrow.InsufficientFunds.selector, PROJECT, address(token), free + 1, free)
        );
        escrow.withdraw(PROJECT, address(token), free + 1, OWNER);
        vm.expectRevert(Escrow.ZeroAddress.selector);
        escrow.withdraw(PROJECT, address(token), 1, address(0));
        escrow.withdraw(PROJECT, address(token), free, OWNER);
        vm.stopPrank();
        eq(token.balanceOf(OWNER), free, "withdrawn");
    }

    function test_depositsOfUnknownProjectsAreRefused() public {
        vm.expectRevert(abi.encodeWithSelector(Escrow.UnknownProject.selector, 2));
        escrow.deposit(2, address(token), 1);
        vm.expectRevert(abi.encodeWithSelector(Escrow.UnknownProject.selector, 0));
        escrow.deposit(0, address(token), 1);
        vm.expectRevert(abi.encodeWithSelector(Escrow.NothingReceived.selector, address(token)));
        escrow.deposit(PROJECT, address(token), 0);
    }

    function test_withheldMoneyCannotBeWithdrawn() public {
        _accepted(0);
        uint256 free = escrow.freeOf(PROJECT, address(token));
        vm.prank(OWNER);
        vm.expectRevert(
            abi.encodeWithSelector(Escrow.InsufficientFunds.selector, PROJECT, address(token), free + 1, free)
        );
        escrow.withdraw(PROJECT, address(token), free + 1, OWNER);
    }

    function test_projectsDoNotShareMoney() public {
        vm.startPrank(OUTSIDER);
        uint64 other = projects.create();
        vm.expectRevert(abi.encodeWithSelector(Escrow.InsufficientFunds.selector, other, address(token), 1, 0));
        escrow.withdraw(other, address(token), 1, OUTSIDER);
        vm.stopPrank();
    }

    function test_depositsAreBoundedByTheType() public {
        uint256 most = type(uint128).max - escrow.freeOf(PROJECT, address(token));
        _fund(most);
        token.mint(address(this), 1);
        token.approve(address(escrow), 1);
        vm.expectRevert(abi.encodeWithSelector(Escrow.DepositTooLarge.selector, uint256(type(uint128).max) + 1));
        escrow.deposit(PROJECT, address(token), 1);
    }

    function test_claimsOnceAndOnlyWhatIsOwed() public {
        _accepted(0);
        _settle(0);
        address to = address(0xc1a1);
        vm.startPrank(TREASURY);
        vm.expectRevert(Escrow.ZeroAddress.selector);
        escrow.claim(address(token), address(0));
        eq(escrow.claim(address(token), to), REWARD * 5 / 100, "amount");
        vm.expectRevert(abi.encodeWithSelector(Escrow.NothingOwed.selector, address(token), TREASURY));
        escrow.claim(address(token), to);
        vm.stopPrank();
        eq(token.balanceOf(to), REWARD * 5 / 100, "paid");
        vm.prank(OUTSIDER);
        vm.expectRevert(abi.encodeWithSelector(Escrow.NothingOwed.selector, address(token), OUTSIDER));
        escrow.claim(address(token), to);
    }

    function test_hooksAreTheTaskManagersAlone() public {
        bytes memory reason = abi.encodeWithSelector(Escrow.NotTaskManager.selector, OUTSIDER);
        vm.startPrank(OUTSIDER);
        vm.expectRevert(reason);
        escrow.withhold(0, PROJECT, address(token), 1);
        vm.expectRevert(reason);
        escrow.settle(0, PROJECT, address(token), 1, 0, OUTSIDER, OUTSIDER);
        vm.expectRevert(reason);
        escrow.refund(0, PROJECT, address(token), 1);
        vm.stopPrank();
    }

    function test_parametersAreChecked() public {
        vm.expectRevert(Escrow.BadParams.selector);
        new Escrow(registry, projects, TREASURY, 1_001);
        vm.expectRevert(Escrow.ZeroAddress.selector);
        new Escrow(registry, projects, address(0), 1);
        new Escrow(registry, projects, address(0), 0);
    }

    // ---- tokens as they come

    function test_tokenThatReturnsNothing() public {
        SilentToken silent = new SilentToken();
        silent.mint(address(this), 10);
        silent.approve(address(escrow), 10);
        escrow.deposit(PROJECT, address(silent), 10);
        vm.prank(OWNER);
        escrow.withdraw(PROJECT, address(silent), 10, OWNER);
        eq(silent.balanceOf(OWNER), 10, "back");
    }

    function test_tokenThatTakesAFeeIsCountedByWhatArrived() public {
        TaxedToken taxed = new TaxedToken();
        taxed.mint(address(this), 1000);
        taxed.approve(address(escrow), 1000);
        escrow.deposit(PROJECT, address(taxed), 1000);
        eq(escrow.freeOf(PROJECT, address(taxed)), 900, "arrived");
        eq(taxed.balanceOf(address(escrow)), 900, "held");
    }

    function test_tokenThatSaysFalseIsRefused() public {
        LyingToken lying = new LyingToken();
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(lying)));
        escrow.deposit(PROJECT, address(lying), 1);
        // No code, no token.
        vm.expectRevert();
        escrow.deposit(PROJECT, OUTSIDER, 1);
    }

    function test_tokenCannotReenter() public {
        ReentrantToken evil = new ReentrantToken(escrow);
        evil.mint(address(this), 100);
        evil.approve(address(escrow), 100);
        evil.arm(abi.encodeCall(Escrow.deposit, (PROJECT, address(evil), 50)));
        escrow.deposit(PROJECT, address(evil), 50);
        yes(evil.refused(), "deposit inside a deposit");
        eq(escrow.freeOf(PROJECT, address(evil)), 50, "counted once");
        eq(evil.balanceOf(address(escrow)), 50, "held");
    }
}

contract RewardPoolTest is Deployed {
    function test_creditIsTheMintersAlone() public {
        vm.prank(OUTSIDER);
        vm.expectRevert(abi.encodeWithSelector(RewardPool.NotMinter.selector, OUTSIDER));
        rewards.credit(OUTSIDER);
    }

    function test_creditsNeverExceedThePool() public {
        vm.deal(address(rewards), 5 ether);
        uint256[4] memory want = [uint256(2 ether), 2 ether, 1 ether, 0];
        for (uint256 i = 0; i < 4; ++i) {
            vm.prank(address(minter));
            eq(rewards.credit(BENEFICIARY), want[i], "credit");
        }
        eq(rewards.totalOwed(), 5 ether, "all owed");
        vm.startPrank(BENEFICIARY);
        vm.expectRevert(RewardPool.ZeroAddress.selector);
        rewards.claim(address(0));
        rewards.claim(BENEFICIARY);
        vm.expectRevert(abi.encodeWithSelector(RewardPool.NothingOwed.selector, BENEFICIARY));
        rewards.claim(BENEFICIARY);
        vm.stopPrank();
        eq(BENEFICIARY.balance, 5 ether, "paid");
        eq(rewards.totalOwed(), 0, "nothing owed");
    }

    function test_claimCannotBeReentered() public {
        Taker taker = new Taker(rewards);
        vm.startPrank(address(minter));
        rewards.credit(address(taker));
        rewards.credit(BENEFICIARY);
        vm.stopPrank();
        taker.take();
        eq(address(taker).balance, BLOCK_REWARD, "once");
        yes(taker.refused(), "the second was refused");
    }
}

/// @dev Claims again while it is being paid.
contract Taker {
    RewardPool private immutable _pool;
    bool public refused;

    constructor(RewardPool pool) {
        _pool = pool;
    }

    function take() external {
        _pool.claim(address(this));
    }

    receive() external payable {
        try _pool.claim(address(this)) {
            refused = false;
        } catch {
            refused = true;
        }
    }
}
