// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// A token for tests: whoever makes it has all of it.
contract TestToken {
    mapping(address => uint256) public balanceOf;
    /// What whoever transfers is called with in the middle of it, if anything.
    bytes public back;

    constructor(uint256 supply) {
        balanceOf[msg.sender] = supply;
    }

    function callBack(bytes calldata back_) external {
        back = back_;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        if (balanceOf[msg.sender] < amount) return false;
        if (back.length > 0) {
            // What it answers is not of interest: the balances tell.
            (bool done, ) = msg.sender.call(back);
            done;
        }
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
        return true;
    }
}

/// A token for tests that says nothing: neither that a transfer was made, nor why it was not, where it reverts.
contract SilentToken {
    mapping(address => uint256) public balanceOf;

    constructor(uint256 supply) {
        balanceOf[msg.sender] = supply;
    }

    function transfer(address to, uint256 amount) external {
        if (balanceOf[msg.sender] < amount) revert();
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
    }
}
