//! What is too large for the store: saves, and later bundles, scenes and results, by the hash of their
//! content.
//!
//! [`Assets`] is a seam: [`LocalFolder`] keeps them on this machine's disk, [`InMemory`] stands in for
//! it in tests and fails on demand. Both pass `tests/assets_contract.rs`. Deliberately without owners,
//! names and counts of references: the store knows who may see an asset and how long it is needed.
//!
//! **Architecture invariant:** what is read has the hash it was asked for by, or the reading fails.

mod in_memory;
mod local_folder;

pub use in_memory::{Fault, InMemory};
pub use local_folder::LocalFolder;

use async_trait::async_trait;
use axum::body::Bytes;
pub use blake3::Hash;
use futures_util::stream::BoxStream;
use std::io;

/// Bytes as they come; an error ends them.
pub type ByteStream = BoxStream<'static, io::Result<Bytes>>;

/// An asset that is about to be read.
pub struct Asset {
    /// Its length.
    pub size_bytes: u64,
    /// Its content. The last piece comes only when the whole has the right hash.
    pub content: ByteStream,
}

/// Why an asset could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum AssetError {
    /// The content is not what its hash says.
    #[error("the content has the hash {found}, not {expected}; send it again")]
    WrongHash {
        /// What was announced.
        expected: Hash,
        /// What came.
        found: Hash,
    },
    /// More than was allowed.
    #[error("the content has more than {most_bytes} bytes")]
    TooLarge {
        /// The limit.
        most_bytes: u64,
    },
    /// Whoever sends the content stopped.
    #[error("the content ended early: {0}")]
    Cut(io::Error),
    /// No room is left.
    #[error("no room is left for assets; free space in the data folder")]
    Full,
    /// The place where assets are kept failed.
    #[error("assets: {0}")]
    Io(io::Error),
}

/// The seam.
#[async_trait]
pub trait Assets: Send + Sync + 'static {
    /// Keeps `content` under `hash` and returns its length. It is there whole, for good, when this
    /// returns, and not at all when this fails. Keeping what is there already changes nothing.
    async fn put(&self, hash: Hash, content: ByteStream, most_bytes: u64) -> Result<u64, AssetError>;
    /// The asset, if it is there.
    async fn get(&self, hash: Hash) -> Result<Option<Asset>, AssetError>;
    /// Whether it is there.
    async fn has(&self, hash: Hash) -> Result<bool, AssetError>;
    /// Removes it; what is not there is removed already.
    async fn remove(&self, hash: Hash) -> Result<(), AssetError>;
}

/// Counts and hashes content on its way in.
struct Intake {
    expected: Hash,
    most_bytes: u64,
    size_bytes: u64,
    hasher: blake3::Hasher,
}

impl Intake {
    fn new(expected: Hash, most_bytes: u64) -> Self {
        Self { expected, most_bytes, size_bytes: 0, hasher: blake3::Hasher::new() }
    }

    fn take(&mut self, piece: io::Result<Bytes>) -> Result<Bytes, AssetError> {
        let piece = piece.map_err(AssetError::Cut)?;
        self.size_bytes += piece.len() as u64;
        if self.size_bytes > self.most_bytes {
            return Err(AssetError::TooLarge { most_bytes: self.most_bytes });
        }
        self.hasher.update(&piece);
        Ok(piece)
    }

    fn end(self) -> Result<u64, AssetError> {
        let (expected, found) = (self.expected, self.hasher.finalize());
        if found == expected { Ok(self.size_bytes) } else { Err(AssetError::WrongHash { expected, found }) }
    }
}
