//! Checkpoints: every balance at one block, signed, so that a start need not read the journal from its beginning.
//!
//! Canonical bytes, little-endian: `"NFCHECK1"` (8) · next height u64 · hash of the last block (32) · at_ms u64 ·
//! records u64 · accounts u32 · pending amounts u32 · for each account in the order of their numbers: its opening as a
//! record of 128 bytes with zeros for key and memo, debits i128, credits i128, pending debits i128, pending credits
//! i128 · for each pending amount in the order of their keys: key (16), debit u32, credit u32, rest i128,
//! expires_at_ms u64 · length of the appendix u32 · the appendix, which whoever keeps the journal chose.
//!
//! The signature is over `"nearframe/checkpoint/v1\0"` and the SHA-256 of these bytes, and follows them.

use super::block::BlockHash;
use super::key::Key;
use super::order::{Action, Memo, Order};
use super::record::{RECORD_LEN, Record};
use super::state::{AccountNo, Balance, Books, Pending};
use nearframe_protocol::wire::{Reader, WireError};
use nearframe_protocol::{NodeKey, PublicKey, Signature};
use sha2::{Digest, Sha256};

const MAGIC: &[u8; 8] = b"NFCHECK1";
const DOMAIN: &[u8] = b"nearframe/checkpoint/v1\0";
const SIGNATURE_LEN: usize = 64;

/// Bytes that are no checkpoint of these books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Malformed.
    #[error("the checkpoint is malformed: {0}")]
    Wire(#[from] WireError),
    /// Somebody else's, or changed.
    #[error("the checkpoint is not signed by this ledger's key")]
    Signature,
    /// Sums that cannot be.
    #[error("the checkpoint's balances cannot be: they break a rule of the books")]
    Balances,
}

/// A checkpoint that was read.
#[derive(Debug)]
pub struct Checkpoint {
    /// The books as they were.
    pub books: Books,
    /// What the keeper of the journal added.
    pub appendix: Vec<u8>,
}

impl Books {
    /// What these books hold, as canonical bytes: equal bytes are equal books.
    pub fn canonical(&self, appendix: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(80 + self.accounts.len() * 192 + self.pending.len() * 48);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.next_height.to_le_bytes());
        out.extend_from_slice(self.head().as_bytes());
        out.extend_from_slice(&self.at_ms.to_le_bytes());
        out.extend_from_slice(&self.records.to_le_bytes());
        out.extend_from_slice(&(self.accounts.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.pending.len() as u32).to_le_bytes());
        for (number, state) in self.accounts.iter().enumerate() {
            let (account, currency, limit) = (state.account.clone(), state.currency.clone(), state.limit);
            let action = Action::Open { account, currency, limit };
            let order = Order { key: Key::from_bytes([0; 16]), action, memo: Memo::default() };
            out.extend_from_slice(&Record::Opened { order, number: AccountNo(number as u32) }.encode());
            let Balance { debits_micros, credits_micros, debits_pending_micros, credits_pending_micros } =
                state.balance;
            for sum in [debits_micros, credits_micros, debits_pending_micros, credits_pending_micros] {
                out.extend_from_slice(&sum.to_le_bytes());
            }
        }
        let mut pending: Vec<_> = self.pending.iter().collect();
        pending.sort_unstable_by_key(|(key, _)| **key);
        for (key, pending) in pending {
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(&pending.debit.0.to_le_bytes());
            out.extend_from_slice(&pending.credit.0.to_le_bytes());
            out.extend_from_slice(&pending.rest_micros.to_le_bytes());
            out.extend_from_slice(&pending.expires_at_ms.to_le_bytes());
        }
        out.extend_from_slice(&(appendix.len() as u32).to_le_bytes());
        out.extend_from_slice(appendix);
        out
    }

    /// A signed checkpoint. The books are added up first.
    pub fn checkpoint(&self, key: &NodeKey, appendix: &[u8]) -> Vec<u8> {
        self.assert_balanced();
        let mut bytes = self.canonical(appendix);
        let signature = key.sign(&signed(&bytes));
        bytes.extend_from_slice(signature.as_bytes());
        bytes
    }
}

impl Checkpoint {
    /// Reads a checkpoint that `key` signed.
    pub fn read(bytes: &[u8], key: &PublicKey) -> Result<Self, CheckpointError> {
        let split = bytes.len().checked_sub(SIGNATURE_LEN).ok_or(WireError::Short)?;
        let (body, signature) = bytes.split_at(split);
        let signature: [u8; SIGNATURE_LEN] = signature.try_into().map_err(|_| WireError::Short)?;
        key.verify(&signed(body), &Signature::from_bytes(signature))
            .map_err(|_| CheckpointError::Signature)?;
        let mut r = Reader::new(body);
        if r.bytes(8)? != MAGIC {
            return Err(WireError::Range("magic").into());
        }
        let mut books = Books::new();
        books.next_height = r.u64()?;
        let head: [u8; 32] = r.array()?;
        books.head = (books.next_height > 0).then_some(BlockHash::from_bytes(head));
        (books.at_ms, books.records) = (r.u64()?, r.u64()?);
        let (accounts, pending) = (r.u32()?, r.u32()?);
        for number in 0..accounts {
            read_account(&mut books, &mut r, AccountNo(number))?;
        }
        for _ in 0..pending {
            read_pending(&mut books, &mut r)?;
        }
        let length = r.u32()? as usize;
        let appendix = r.bytes(length)?.to_vec();
        r.end()?;
        if books.canonical(&appendix) != body {
            return Err(CheckpointError::Balances);
        }
        books.assert_balanced();
        Ok(Self { books, appendix })
    }
}

fn signed(body: &[u8]) -> Vec<u8> {
    [DOMAIN, &Sha256::digest(body)].concat()
}

fn read_account(books: &mut Books, r: &mut Reader<'_>, number: AccountNo) -> Result<(), CheckpointError> {
    let record: [u8; RECORD_LEN] = r.array()?;
    let Ok(Record::Opened { order, .. }) = Record::decode(&record) else {
        return Err(WireError::Range("account").into());
    };
    let balance = Balance {
        debits_micros: i128::from_le_bytes(r.array()?),
        credits_micros: i128::from_le_bytes(r.array()?),
        debits_pending_micros: i128::from_le_bytes(r.array()?),
        credits_pending_micros: i128::from_le_bytes(r.array()?),
    };
    books.carry_out(&order, 0).map_err(|_| CheckpointError::Balances)?;
    books.restore_balance(number, balance).ok_or(CheckpointError::Balances)
}

fn read_pending(books: &mut Books, r: &mut Reader<'_>) -> Result<(), CheckpointError> {
    let key = Key::from_bytes(r.array()?);
    let pending = Pending {
        debit: AccountNo(r.u32()?),
        credit: AccountNo(r.u32()?),
        rest_micros: i128::from_le_bytes(r.array()?),
        expires_at_ms: r.u64()?,
    };
    books.restore_pending(key, pending).ok_or(CheckpointError::Balances)
}
