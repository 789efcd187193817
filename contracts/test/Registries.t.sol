// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BlockMinter} from "../src/BlockMinter.sol";
import {DeviceRegistry} from "../src/DeviceRegistry.sol";
import {Escrow} from "../src/Escrow.sol";
import {Groth16Verifier} from "../src/Groth16Verifier.sol";
import {ProjectRegistry} from "../src/ProjectRegistry.sol";
import {ProverRegistry} from "../src/ProverRegistry.sol";
import {Registry} from "../src/Registry.sol";
import {RewardPool} from "../src/RewardPool.sol";
import {SequencerRegistry} from "../src/SequencerRegistry.sol";
import {TaskManager} from "../src/TaskManager.sol";
import {Parts, Version} from "../src/Types.sol";
import {VerifyingKeys} from "../src/VerifyingKeys.sol";
import {Deployed} from "./Deployed.sol";
import {vm} from "./Vm.sol";

contract RegistryTest is Deployed {
    /// @dev A second deployment that the tests seal.
    Registry private r;
    Parts private p;

    function test_partsAreKept() public view {
        eq(keccak256(abi.encode(registry.parts())), keccak256(abi.encode(_parts())), "parts");
        eq(registry.deployer(), DEPLOYER, "deployer");
        eq(registry.tasks(), address(tasks), "tasks");
        eq(registry.minter(), address(minter), "minter");
    }

    function test_sealsOnceByTheDeployer() public {
        vm.prank(OUTSIDER);
        vm.expectRevert(abi.encodeWithSelector(Registry.NotDeployer.selector, OUTSIDER));
        registry.seal(_parts());
        vm.prank(DEPLOYER);
        vm.expectRevert(Registry.AlreadySealed.selector);
        registry.seal(_parts());
    }

    function test_sealChecksTheParts() public {
        Registry fresh = new Registry();
        vm.expectRevert(Registry.NotSealed.selector);
        fresh.parts();
        eq(fresh.tasks(), address(0), "no hooks yet");
        // Parts of another deployment.
        vm.expectRevert(abi.encodeWithSelector(Registry.BuiltForOther.selector, address(provers)));
        fresh.seal(_parts());
    }

    function test_sealRefusesEachPartWithoutCode() public {
        (r, p) = _fresh();
        uint256 parts = abi.encode(p).length / 32;
        eq(parts, 10, "parts");
        for (uint256 i = 0; i < parts; ++i) {
            Parts memory bad = _with(p, i, OUTSIDER);
            vm.expectRevert(abi.encodeWithSelector(Registry.NoCode.selector, OUTSIDER));
            r.seal(bad);
            bad = _with(p, i, address(0));
            vm.expectRevert(abi.encodeWithSelector(Registry.NoCode.selector, address(0)));
            r.seal(bad);
        }
        r.seal(p);
        eq(r.tasks(), p.tasks, "sealed");
    }

    /// @dev One case per wire: a part that was built for another registry, or for another of its neighbours.
    function test_sealChecksEveryWire() public {
        (r, p) = _fresh();
        _otherRegistry(new Registry());
        _otherKeys(new VerifyingKeys());
        _otherProjects(new ProjectRegistry(VerifyingKeys(p.keys), 1, 1));
        _otherNeighbours();
        r.seal(p);
    }

    function _otherRegistry(Registry other) private {
        _unsealable(2, address(new ProverRegistry(other, _projectsOf(), STAKE, BOND)));
        _unsealable(8, address(new Escrow(other, _projectsOf(), TREASURY, 0)));
        _unsealable(9, address(new RewardPool(other, 1)));
        _unsealable(7, address(_tasks(other, _projectsOf(), p.provers, p.escrow, p.verifier)));
        _unsealable(6, address(_minter(other, p.tasks, p.rewards)));
    }

    function _otherKeys(VerifyingKeys other) private {
        _unsealable(0, address(new ProjectRegistry(other, 1, 1)));
        _unsealable(5, address(new Groth16Verifier(other)));
    }

    function _otherProjects(ProjectRegistry other) private {
        _unsealable(1, address(new DeviceRegistry(other)));
        _unsealable(2, address(new ProverRegistry(r, other, STAKE, BOND)));
        _unsealable(8, address(new Escrow(r, other, TREASURY, 0)));
        _unsealable(7, address(_tasks(r, other, p.provers, p.escrow, p.verifier)));
    }

    /// @dev What the task manager and the minter hold besides.
    function _otherNeighbours() private {
        address other = address(new ProverRegistry(r, _projectsOf(), STAKE, BOND));
        _unsealable(7, address(_tasks(r, _projectsOf(), other, p.escrow, p.verifier)));
        other = address(new Escrow(r, _projectsOf(), TREASURY, 0));
        _unsealable(7, address(_tasks(r, _projectsOf(), p.provers, other, p.verifier)));
        other = address(new Groth16Verifier(VerifyingKeys(p.keys)));
        _unsealable(7, address(_tasks(r, _projectsOf(), p.provers, p.escrow, other)));
        other = address(_tasks(r, _projectsOf(), p.provers, p.escrow, p.verifier));
        _unsealable(6, address(_minter(r, other, p.rewards)));
        other = address(new RewardPool(r, 1));
        _unsealable(6, address(_minter(r, p.tasks, other)));
    }

    function _projectsOf() private view returns (ProjectRegistry) {
        return ProjectRegistry(p.projects);
    }

    function _tasks(Registry root, ProjectRegistry projects_, address provers_, address escrow_, address verifier_)
        private
        returns (TaskManager)
    {
        return new TaskManager(root, projects_, ProverRegistry(provers_), Escrow(escrow_), Groth16Verifier(verifier_));
    }

    function _minter(Registry root, address tasks_, address rewards_) private returns (BlockMinter) {
        return new BlockMinter(root, TaskManager(tasks_), RewardPool(payable(rewards_)), _params());
    }

    function _unsealable(uint256 i, address part) private {
        Parts memory bad = _with(p, i, part);
        vm.expectRevert(abi.encodeWithSelector(Registry.BuiltForOther.selector, part));
        r.seal(bad);
    }

    /// @dev Another whole deployment, not sealed yet.
    function _fresh() private returns (Registry root, Parts memory q) {
        root = new Registry();
        VerifyingKeys k = new VerifyingKeys();
        ProjectRegistry projects_ = new ProjectRegistry(k, 1, 1);
        q.keys = address(k);
        q.projects = address(projects_);
        q.verifier = address(new Groth16Verifier(k));
        q.devices = address(new DeviceRegistry(projects_));
        q.provers = address(new ProverRegistry(root, projects_, STAKE, BOND));
        q.sequencers = address(new SequencerRegistry());
        q.escrow = address(new Escrow(root, projects_, TREASURY, 0));
        q.rewards = address(new RewardPool(root, 1));
        q.tasks = address(_tasks(root, projects_, q.provers, q.escrow, q.verifier));
        q.minter = address(_minter(root, q.tasks, q.rewards));
    }

    /// @dev The parts with the one at place `i` exchanged.
    function _with(Parts memory q, uint256 i, address part) private pure returns (Parts memory) {
        bytes memory raw = abi.encode(q);
        assembly ("memory-safe") {
            mstore(add(add(raw, 32), mul(i, 32)), part)
        }
        return abi.decode(raw, (Parts));
    }

    function test_hooksAreShutBeforeTheSeal() public {
        Registry fresh = new Registry();
        RewardPool pool = new RewardPool(fresh, 1);
        vm.expectRevert(abi.encodeWithSelector(RewardPool.NotMinter.selector, address(this)));
        pool.credit(address(this));
        vm.prank(address(0));
        // The zero address has no key; even so nothing is paid, as the pool is empty.
        eq(pool.credit(OUTSIDER), 0, "nothing");
    }

    function test_deployedCodeFits() public view {
        Parts memory q = _parts();
        address[10] memory all = [
            q.projects, q.devices, q.provers, q.sequencers, q.keys, q.verifier, q.minter, q.tasks, q.escrow, q.rewards
        ];
        for (uint256 i = 0; i < all.length; ++i) {
            yes(all[i].code.length <= 24_576, "EIP-170");
        }
    }
}

contract ProjectRegistryTest is Deployed {
    function test_projectsAreTheirCreators() public {
        vm.prank(OUTSIDER);
        uint64 second = projects.create();
        eq(second, 2, "number");
        eq(projects.count(), 2, "count");
        eq(projects.ownerOf(2), OUTSIDER, "owner");
        eq(projects.currentVersion(2), 0, "no version");
        vm.expectRevert(abi.encodeWithSelector(ProjectRegistry.UnknownProject.selector, 3));
        projects.ownerOf(3);
    }

    function test_onlyTheOwnerConfigures() public {
        bytes memory reason = abi.encodeWithSelector(ProjectRegistry.NotProjectOwner.selector, PROJECT, OUTSIDER);
        Version memory v = _version();
        vm.startPrank(OUTSIDER);
        vm.expectRevert(reason);
        projects.addVersion(PROJECT, v);
        vm.expectRevert(reason);
        projects.setSequencer(PROJECT, OUTSIDER, true);
        vm.expectRevert(reason);
        projects.setPaused(PROJECT, true);
        vm.expectRevert(reason);
        projects.transferOwnership(PROJECT, OUTSIDER);
        vm.expectRevert(abi.encodeWithSelector(ProjectRegistry.NotPendingOwner.selector, PROJECT, OUTSIDER));
        projects.acceptOwnership(PROJECT);
        vm.stopPrank();
    }

    function test_versionsAreAppended() public {
        Version memory v = _version();
        v.reward = 7;
        vm.prank(OWNER);
        eq(projects.addVersion(PROJECT, v), 2, "version");
        eq(projects.currentVersion(PROJECT), 2, "current");
        eq(keccak256(abi.encode(projects.versionOf(PROJECT, 2))), keccak256(abi.encode(v)), "new");
        eq(keccak256(abi.encode(projects.versionOf(PROJECT, 1))), keccak256(abi.encode(_version())), "old");
        vm.expectRevert(abi.encodeWithSelector(ProjectRegistry.UnknownVersion.selector, PROJECT, 3));
        projects.versionOf(PROJECT, 3);
        vm.expectRevert(abi.encodeWithSelector(ProjectRegistry.UnknownVersion.selector, PROJECT, 0));
        projects.versionOf(PROJECT, 0);
    }

    function test_versionFieldsAreBounded() public {
        Version memory v = _version();
        v.vkId = keccak256("none");
        _refused(v, abi.encodeWithSelector(ProjectRegistry.UnknownKey.selector, v.vkId));
        v = _version();
        v.outputs = 3;
        _refused(v, abi.encodeWithSelector(ProjectRegistry.WrongInputs.selector, 6, 5));
        v.outputs = 301;
        _refused(v, _outOfRange("outputs", 301, 0, 300));
        v = _version();
        v.batchSize = 0;
        _refused(v, _outOfRange("batchSize", 0, 1, 4096));
        v.batchSize = 4097;
        _refused(v, _outOfRange("batchSize", 4097, 1, 4096));
        v = _version();
        v.payloadLimit = 65_537;
        _refused(v, _outOfRange("payloadLimit", 65_537, 1, 65_536));
        v = _version();
        v.acceptWindow = MIN_ACCEPT_WINDOW - 1;
        _refused(v, _outOfRange("acceptWindow", MIN_ACCEPT_WINDOW - 1, MIN_ACCEPT_WINDOW, 30 days));
        v.acceptWindow = 30 days + 1;
        _refused(v, _outOfRange("acceptWindow", 30 days + 1, MIN_ACCEPT_WINDOW, 30 days));
        v = _version();
        v.proveWindow = MIN_PROVE_WINDOW - 1;
        _refused(v, _outOfRange("proveWindow", MIN_PROVE_WINDOW - 1, MIN_PROVE_WINDOW, 30 days));
        v.proveWindow = 30 days + 1;
        _refused(v, _outOfRange("proveWindow", 30 days + 1, MIN_PROVE_WINDOW, 30 days));
        v = _version();
        v.maxWait = 30 days + 1;
        _refused(v, _outOfRange("maxWait", 30 days + 1, 0, 30 days));
        v = _version();
        v.recallGrace = 30 days + 1;
        _refused(v, _outOfRange("recallGrace", 30 days + 1, 0, 30 days));
        v = _version();
        v.sequencerShareBps = 5_001;
        _refused(v, _outOfRange("sequencerShareBps", 5_001, 0, 5_000));
        v = _version();
        v.dappGas = 5_000_001;
        _refused(v, _outOfRange("dappGas", 5_000_001, 0, 5_000_000));
        v = _version();
        v.reward = uint256(type(uint128).max) + 1;
        _refused(v, _outOfRange("reward", v.reward, 0, type(uint128).max));
        v = _version();
        v.bundleURI = string(new bytes(1025));
        _refused(v, _outOfRange("bundleURI", 1025, 0, 1024));
        v = _version();
        v.rewardToken = OUTSIDER;
        _refused(v, abi.encodeWithSelector(ProjectRegistry.NoCode.selector, "rewardToken", OUTSIDER));
        v.rewardToken = address(0);
        _refused(v, abi.encodeWithSelector(ProjectRegistry.NoCode.selector, "rewardToken", address(0)));
        v = _version();
        v.dapp = OUTSIDER;
        _refused(v, abi.encodeWithSelector(ProjectRegistry.NoCode.selector, "dapp", OUTSIDER));
        // A project may pay nothing and call nobody.
        v = _version();
        (v.reward, v.rewardToken, v.dapp) = (0, address(0), address(0));
        vm.prank(OWNER);
        projects.addVersion(PROJECT, v);
    }

    function test_leastWindowsAreTheDeployments() public {
        Version memory v = _version();
        (v.acceptWindow, v.proveWindow) = (MIN_ACCEPT_WINDOW, MIN_PROVE_WINDOW);
        vm.prank(OWNER);
        projects.addVersion(PROJECT, v);
        eq(projects.minAcceptWindow(), MIN_ACCEPT_WINDOW, "accept");
        eq(projects.minProveWindow(), MIN_PROVE_WINDOW, "prove");
        vm.expectRevert(ProjectRegistry.BadParams.selector);
        new ProjectRegistry(keys, 0, 1);
        vm.expectRevert(ProjectRegistry.BadParams.selector);
        new ProjectRegistry(keys, 1, 0);
        vm.expectRevert(ProjectRegistry.BadParams.selector);
        new ProjectRegistry(keys, 30 days + 1, 1);
        vm.expectRevert(ProjectRegistry.BadParams.selector);
        new ProjectRegistry(keys, 1, 30 days + 1);
    }

    function test_ownershipMovesInTwoSteps() public {
        vm.prank(OWNER);
        projects.transferOwnership(PROJECT, OUTSIDER);
        eq(projects.ownerOf(PROJECT), OWNER, "not yet");
        vm.prank(OUTSIDER);
        projects.acceptOwnership(PROJECT);
        eq(projects.ownerOf(PROJECT), OUTSIDER, "moved");
        vm.prank(OUTSIDER);
        vm.expectRevert(abi.encodeWithSelector(ProjectRegistry.NotPendingOwner.selector, PROJECT, OUTSIDER));
        projects.acceptOwnership(PROJECT);
    }

    function test_sequencersAndPause() public {
        yes(projects.isSequencer(PROJECT, sequencer), "listed");
        vm.startPrank(OWNER);
        vm.expectRevert(ProjectRegistry.ZeroAddress.selector);
        projects.setSequencer(PROJECT, address(0), true);
        projects.setSequencer(PROJECT, sequencer, false);
        projects.setPaused(PROJECT, true);
        vm.stopPrank();
        no(projects.isSequencer(PROJECT, sequencer), "struck off");
        yes(projects.isPaused(PROJECT), "paused");
    }

    function _refused(Version memory v, bytes memory reason) private {
        vm.prank(OWNER);
        vm.expectRevert(reason);
        projects.addVersion(PROJECT, v);
    }

    function _outOfRange(string memory field, uint256 got, uint256 min, uint256 max)
        private
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(ProjectRegistry.OutOfRange.selector, field, got, min, max);
    }
}

contract EndpointsTest is Deployed {
    function test_devicesAreListedByTheOwner() public {
        bytes32[] memory ids = new bytes32[](2);
        (ids[0], ids[1]) = (keccak256("a"), keccak256("b"));
        vm.prank(OUTSIDER);
        vm.expectRevert(abi.encodeWithSelector(DeviceRegistry.NotProjectOwner.selector, PROJECT, OUTSIDER));
        devices.setDevices(PROJECT, ids, true);
        vm.prank(OUTSIDER);
        vm.expectRevert(abi.encodeWithSelector(DeviceRegistry.NotProjectOwner.selector, PROJECT, OUTSIDER));
        devices.setOpen(PROJECT, true);
        vm.startPrank(OWNER);
        devices.setDevices(PROJECT, ids, true);
        yes(devices.isAllowed(PROJECT, ids[1]), "listed");
        no(devices.isAllowed(2, ids[1]), "of this project only");
        devices.setDevices(PROJECT, ids, false);
        no(devices.isAllowed(PROJECT, ids[1]), "struck off");
        devices.setOpen(PROJECT, true);
        yes(devices.isAllowed(PROJECT, keccak256("any")), "open");
        vm.stopPrank();
    }

    function test_sequencersNameTheirURLs() public {
        string[] memory urls = new string[](2);
        (urls[0], urls[1]) = ("https://a.example", "https://b.example");
        vm.startPrank(OPERATOR);
        sequencers.register(urls);
        eq(keccak256(abi.encode(sequencers.urlsOf(OPERATOR))), keccak256(abi.encode(urls)), "kept");
        string[] memory one = new string[](1);
        one[0] = "https://c.example";
        sequencers.register(one);
        eq(keccak256(abi.encode(sequencers.urlsOf(OPERATOR))), keccak256(abi.encode(one)), "replaced");
        one[0] = "";
        vm.expectRevert(abi.encodeWithSelector(SequencerRegistry.BadURLLength.selector, 0, 0, 256));
        sequencers.register(one);
        one[0] = string(new bytes(257));
        vm.expectRevert(abi.encodeWithSelector(SequencerRegistry.BadURLLength.selector, 0, 257, 256));
        sequencers.register(one);
        vm.expectRevert(abi.encodeWithSelector(SequencerRegistry.TooManyURLs.selector, 9, 8));
        sequencers.register(new string[](9));
        sequencers.register(new string[](0));
        eq(sequencers.urlsOf(OPERATOR).length, 0, "removed");
        vm.stopPrank();
    }
}
