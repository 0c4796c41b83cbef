//! Blocks: what one write did, each naming the one before.
//!
//! A header (104 bytes, little-endian): `"NFBLOCK1"` (8) · height u64 · at_ms u64 · records before this block u64 ·
//! records in it u32 · zero (4) · hash of the block before (32) · SHA-256 of the records (32). The records follow,
//! 128 bytes each. A block's hash is SHA-256 over its header; block 0 names zeros as the one before.

use super::record::{RECORD_LEN, Record, RecordError};
use nearframe_protocol::wire::{Reader, WireError};
use sha2::{Digest, Sha256};
use std::fmt;

const MAGIC: &[u8; 8] = b"NFBLOCK1";
/// Length of a header.
pub const HEADER_LEN: usize = 104;
/// Orders in one write: a megabyte, so that one disk flush serves many and nobody waits long for it.
pub const MAX_ORDERS: usize = 8192;
/// Records in one block: the orders, and as many amounts again whose time is over.
pub const MAX_RECORDS: usize = 2 * MAX_ORDERS;

/// SHA-256 of a block's header.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockHash([u8; 32]);

impl BlockHash {
    /// What block 0 names as the one before.
    pub const NONE: Self = Self([0; 32]);
    /// The hash with these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}
impl fmt::Display for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
impl fmt::Debug for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockHash({self})")
    }
}

/// Bytes that are no block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The header is malformed.
    #[error("a block's header is malformed: {0}")]
    Header(#[from] WireError),
    /// The records are not those that the header names.
    #[error("the records of block {height} are not those that were written: the hash differs")]
    Records {
        /// The block.
        height: u64,
    },
    /// A record is malformed.
    #[error("block {height}: {error}")]
    Record {
        /// The block.
        height: u64,
        /// What is wrong.
        error: RecordError,
    },
}

/// What a block says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// 0, 1, 2, … without gaps.
    pub height: u64,
    /// When it was written, Unix ms; never before the one before.
    pub at_ms: u64,
    /// Records in all blocks before.
    pub records_before: u64,
    /// Records in this one.
    pub records: u32,
    /// The hash of the block before.
    pub previous: BlockHash,
    /// SHA-256 of the records.
    pub records_hash: [u8; 32],
}

impl Header {
    /// Its bytes.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, MAGIC);
        put(8, &self.height.to_le_bytes());
        put(16, &self.at_ms.to_le_bytes());
        put(24, &self.records_before.to_le_bytes());
        put(32, &self.records.to_le_bytes());
        put(40, self.previous.as_bytes());
        put(72, &self.records_hash);
        out
    }

    /// Reads a header; refuses any other form.
    pub fn decode(bytes: &[u8; HEADER_LEN]) -> Result<Self, WireError> {
        let mut r = Reader::new(bytes);
        if r.bytes(8)? != MAGIC {
            return Err(WireError::Range("magic"));
        }
        let (height, at_ms, records_before, records) = (r.u64()?, r.u64()?, r.u64()?, r.u32()?);
        if records == 0 || records as usize > MAX_RECORDS {
            return Err(WireError::Range("records"));
        }
        if r.u32()? != 0 {
            return Err(WireError::Range("reserved"));
        }
        let previous = BlockHash(r.array()?);
        Ok(Self { height, at_ms, records_before, records, previous, records_hash: r.array()? })
    }

    /// What the next block names as the one before.
    pub fn hash(&self) -> BlockHash {
        BlockHash(Sha256::digest(self.encode()).into())
    }

    /// Length of the records that follow, in bytes.
    pub fn body_len(&self) -> usize {
        self.records as usize * RECORD_LEN
    }
}

/// A header with its records, as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    header: Header,
    bytes: Vec<u8>,
}

impl Block {
    /// Makes the block after `previous` of records that were encoded one after the other.
    pub(super) fn seal(
        height: u64,
        at_ms: u64,
        records_before: u64,
        previous: BlockHash,
        records: &[u8],
    ) -> Self {
        let header = Header {
            height,
            at_ms,
            records_before,
            records: (records.len() / RECORD_LEN) as u32,
            previous,
            records_hash: Sha256::digest(records).into(),
        };
        Self { header, bytes: [&header.encode()[..], records].concat() }
    }

    /// Reads a block: its header, and records that are those the header names.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, BlockError> {
        let (head, records) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(WireError::Short)?;
        let header = Header::decode(head)?;
        if records.len() != header.body_len()
            || <[u8; 32]>::from(Sha256::digest(records)) != header.records_hash
        {
            return Err(BlockError::Records { height: header.height });
        }
        Ok(Self { header, bytes })
    }

    /// What it says about itself.
    pub fn header(&self) -> &Header {
        &self.header
    }
    /// Header and records, as they are kept.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
    /// Its records, in the order in which they were done.
    pub fn records(&self) -> impl Iterator<Item = Result<Record, BlockError>> + '_ {
        let (records, _) = self.bytes[HEADER_LEN..].as_chunks::<RECORD_LEN>();
        let height = self.header.height;
        records
            .iter()
            .map(move |bytes| Record::decode(bytes).map_err(|error| BlockError::Record { height, error }))
    }
}
