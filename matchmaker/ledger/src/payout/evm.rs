//! Claims on an EVM chain, in the form of the common cumulative Merkle distributors.
//!
//! A leaf is Keccak-256 over `abi.encodePacked(uint256 index, address account, uint256 cumulativeAmount)` (84 bytes,
//! big-endian); an inner node Keccak-256 over its two children, the smaller first; an odd node goes up as it is. The
//! contract (`evm/Distributor.sol`) keeps what each account claimed and pays the difference, so a claim that is sent twice
//! pays once.

use super::destination::{Address, Destination, Rail};
use super::manifest::Manifest;
use crate::LedgerError;
use crate::hash::Hash32;
use sha3::{Digest, Keccak256};
use std::collections::BTreeMap;

/// Keccak-256.
pub fn keccak(bytes: &[u8]) -> Hash32 {
    Hash32(Keccak256::digest(bytes).into())
}

/// What one account may have claimed in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its place in the tree.
    pub index: u64,
    /// The account.
    pub account: Address,
    /// Everything, in the token's smallest unit.
    pub cumulative: u128,
}

/// All claims of one token under one root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    claims: Vec<Claim>,
    /// From the leaves up to the root.
    levels: Vec<Vec<Hash32>>,
}

impl Claim {
    /// Its leaf.
    pub fn leaf(&self) -> Hash32 {
        let mut bytes = [0; 84];
        bytes[24..32].copy_from_slice(&self.index.to_be_bytes());
        bytes[32..52].copy_from_slice(self.account.as_bytes());
        bytes[68..].copy_from_slice(&self.cumulative.to_be_bytes());
        keccak(&bytes)
    }
}

/// Micro-units in a token's smallest unit, rounded down: what is less stays on the account.
pub fn token_units(micros: i128, decimals: u8) -> Result<u128, LedgerError> {
    let micros = u128::try_from(micros).map_err(|_| LedgerError::Negative)?;
    let shift = |places: u8| 10_u128.checked_pow(u32::from(places)).ok_or(LedgerError::Overflow);
    if decimals >= 6 {
        micros.checked_mul(shift(decimals - 6)?).ok_or(LedgerError::Overflow)
    } else {
        Ok(micros / shift(6 - decimals)?)
    }
}

impl Claims {
    /// Of everyone who was ever paid by this rail: `earlier` is what accounts were paid before this manifest, whose
    /// payouts by this rail are of one token. One claim for each account, in the order of their bytes, because that is
    /// what the contract counts by: hosts may share an account, and a host may have had another one before.
    pub fn of(manifest: &Manifest, earlier: &[(Address, i128)], decimals: u8) -> Result<Self, LedgerError> {
        let token = manifest.by(Rail::Evm).next().map(|payout| &payout.currency);
        let now = manifest.by(Rail::Evm).filter_map(|payout| match payout.destination {
            Destination::Evm { address } => {
                assert_eq!(Some(&payout.currency), token, "claims of two tokens in one tree");
                Some((address, payout.amount_micros))
            }
            Destination::Bank { .. } => None,
        });
        let mut totals = BTreeMap::<Address, i128>::new();
        for (account, micros) in earlier.iter().copied().chain(now) {
            let total = totals.entry(account).or_default();
            *total = total.checked_add(micros).ok_or(LedgerError::Overflow)?;
        }
        let mut claims = vec![];
        for (index, (account, micros)) in totals.into_iter().enumerate() {
            claims.push(Claim { index: index as u64, account, cumulative: token_units(micros, decimals)? });
        }
        Ok(Self::new(claims))
    }

    /// The tree over claims.
    pub fn new(claims: Vec<Claim>) -> Self {
        let mut levels = vec![claims.iter().map(Claim::leaf).collect::<Vec<_>>()];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            levels.push(below.chunks(2).map(|pair| pair_hash(pair[0], pair.get(1).copied())).collect());
        }
        Self { claims, levels }
    }

    /// What the contract is given; `None` where there are no claims.
    pub fn root(&self) -> Option<Hash32> {
        self.levels.last()?.first().copied()
    }
    /// The claims.
    pub fn claims(&self) -> &[Claim] {
        &self.claims
    }

    /// The neighbours of a claim's leaf, from below.
    pub fn proof(&self, index: usize) -> Vec<Hash32> {
        let mut at = index;
        let mut proof = vec![];
        for level in &self.levels {
            proof.extend(level.get(at ^ 1).filter(|_| level.len() > 1).copied());
            at /= 2;
        }
        proof
    }

    /// The call that claims: `claim(uint256,address,uint256,bytes32[])`; `None` where there is no such claim.
    pub fn calldata(&self, index: usize) -> Option<Vec<u8>> {
        let claim = self.claims.get(index)?;
        let proof = self.proof(index);
        let selector = keccak(b"claim(uint256,address,uint256,bytes32[])").0;
        let mut out = selector[..4].to_vec();
        out.extend_from_slice(&word(u128::from(claim.index)));
        out.extend_from_slice(&[0; 12]);
        out.extend_from_slice(claim.account.as_bytes());
        out.extend_from_slice(&word(claim.cumulative));
        // Where the array begins, after the four words of the head.
        out.extend_from_slice(&word(4 * 32));
        out.extend_from_slice(&word(proof.len() as u128));
        proof.iter().for_each(|hash| out.extend_from_slice(&hash.0));
        Some(out)
    }
}

fn word(value: u128) -> [u8; 32] {
    let mut word = [0; 32];
    word[16..].copy_from_slice(&value.to_be_bytes());
    word
}

fn pair_hash(left: Hash32, right: Option<Hash32>) -> Hash32 {
    match right {
        None => left,
        Some(right) => keccak(&[left.min(right).0, left.max(right).0].concat()),
    }
}

/// The root that a leaf and its proof lead to, as the contract computes it.
pub fn root_of_proof(leaf: Hash32, proof: &[Hash32]) -> Hash32 {
    proof.iter().fold(leaf, |hash, neighbour| pair_hash(hash, Some(*neighbour)))
}
