// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// What is needed of an ERC-20 token. Some tokens answer a transfer with nothing, so the answer is read by hand.
interface Token {
    function transfer(address to, uint256 amount) external;
}

/// Pays what a settlement says, by claims that anyone may send for the account that they name.
///
/// A root is that of a Merkle tree over everything that each account may have had so far: a leaf is
/// keccak256(abi.encodePacked(uint256 index, address account, uint256 cumulative)), 84 bytes; a node is keccak256 over its
/// two children, the smaller first, 64 bytes, so that no node can be shown as a leaf. A claim pays the difference to what
/// the account has had, so that a root which an account missed costs it nothing.
///
/// Deliberately without an upgrade, a pause, a fee or a change of owner. The owner is trusted: the contract cannot know
/// whether a root is right.
///
/// Invariant: what an account was paid is `claimed[account]`, which never decreases.
contract Distributor {
    /// What is paid out.
    Token public immutable token;
    /// Who may set a root: whoever deployed this.
    address public immutable owner;
    /// Against which claims are checked. Zero before the first, when no claim is right.
    bytes32 public root;
    /// Everything that an account was paid, in the token's smallest unit.
    mapping(address => uint256) public claimed;

    event RootSet(bytes32 root);
    event Claimed(uint256 index, address indexed account, uint256 amount);

    error NotOwner();
    error WrongProof();
    error NothingLeft();
    error TransferFailed();

    constructor(Token token_) {
        token = token_;
        owner = msg.sender;
    }

    /// Replaces the root. Claims under the one before are no longer right; under a root of zeros none is.
    function setRoot(bytes32 root_) external {
        if (msg.sender != owner) revert NotOwner();
        root = root_;
        emit RootSet(root_);
    }

    /// Pays `account` the difference to `cumulative`. Where there is none it reverts, rather than succeed without paying: a
    /// wallet tries a call before it sends it, and so says that nothing is left before anybody spends on fees.
    function claim(uint256 index, address account, uint256 cumulative, bytes32[] calldata proof) external {
        bytes32 node = keccak256(abi.encodePacked(index, account, cumulative));
        for (uint256 i = 0; i < proof.length; i++) {
            bytes32 other = proof[i];
            node = node < other
                ? keccak256(abi.encodePacked(node, other))
                : keccak256(abi.encodePacked(other, node));
        }
        if (node != root) revert WrongProof();
        uint256 before = claimed[account];
        if (cumulative <= before) revert NothingLeft();
        // Written before the token is called, which may call back.
        claimed[account] = cumulative;
        uint256 amount = cumulative - before;
        emit Claimed(index, account, amount);
        (bool sent, bytes memory answer) = address(token).call(abi.encodeCall(Token.transfer, (account, amount)));
        // No answer is a yes, unless there is nobody to answer: a call to where no code is succeeds.
        bool taken = answer.length == 0
            ? address(token).code.length > 0
            : answer.length >= 32 && abi.decode(answer, (uint256)) == 1;
        if (!sent || !taken) revert TransferFailed();
    }
}
