//! What a checkpoint of the books says about the files beside it.
//!
//! Little-endian: `"NFFILES1"` (8) · length of the blocks so far u64 · serial of the last run u64 · runs u32 · for each
//! run, the oldest first: serial u64 · digest (32).

use crate::keys::{DiskKeys, KeysError};
use crate::run::Run;
use crate::storage::Storage;
use nearframe_protocol::wire::{Reader, WireError};

const MAGIC: &[u8; 8] = b"NFFILES1";

/// Where the blocks end that a checkpoint knows of, and the runs of their keys.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) blocks_len: u64,
    last_serial: u64,
    runs: Vec<(u64, [u8; 32])>,
}

impl Manifest {
    pub(crate) fn encode(blocks_len: u64, keys: &DiskKeys) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&blocks_len.to_le_bytes());
        out.extend_from_slice(&keys.last_serial().to_le_bytes());
        out.extend_from_slice(&(keys.runs().len() as u32).to_le_bytes());
        for run in keys.runs() {
            out.extend_from_slice(&run.serial.to_le_bytes());
            out.extend_from_slice(&run.digest);
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut r = Reader::new(bytes);
        if r.bytes(8)? != MAGIC {
            return Err(WireError::Range("magic"));
        }
        let (blocks_len, last_serial, count) = (r.u64()?, r.u64()?, r.u32()?);
        let runs = (0..count).map(|_| Ok((r.u64()?, r.array()?))).collect::<Result<_, WireError>>()?;
        r.end()?;
        Ok(Self { blocks_len, last_serial, runs })
    }

    /// Opens the runs.
    pub(crate) fn keys(&self, storage: &impl Storage, most_recent: usize) -> Result<DiskKeys, KeysError> {
        let runs = self.runs.iter().map(|(serial, digest)| Run::open(storage, *serial, *digest));
        Ok(DiskKeys::of_runs(runs.collect::<Result<_, _>>()?, self.last_serial, most_recent))
    }
}
