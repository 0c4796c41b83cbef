//! Assets as files: `ab/abcdef…` each, named by its hash.
//!
//! A file is written beside its place, synced, and renamed: a crash leaves drafts, which the next start
//! removes, and never half an asset.

use super::{Asset, AssetError, Assets, ByteStream, Hash, Intake};
use async_trait::async_trait;
use axum::body::Bytes;
use futures_util::{StreamExt, stream};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Read at once.
const PIECE_BYTES: usize = 64 * 1024;
/// Folder of the drafts.
const DRAFTS: &str = "drafts";

/// Assets below one folder, which no other process writes.
#[derive(Debug)]
pub struct LocalFolder {
    path: PathBuf,
    next_draft: AtomicU64,
}

impl LocalFolder {
    /// Opens or makes the folder, and removes what a crash left half-written.
    pub async fn open(path: &Path) -> io::Result<Self> {
        let drafts = path.join(DRAFTS);
        match fs::remove_dir_all(&drafts).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&drafts).await?,
        }
        Ok(Self { path: path.to_owned(), next_draft: AtomicU64::new(0) })
    }

    fn file(&self, hash: Hash) -> PathBuf {
        let name = hash.to_hex();
        self.path.join(&name[..2]).join(name.as_str())
    }

    /// Renames a synced draft into place; the folders' entries are synced too.
    async fn place(&self, draft: &Path, hash: Hash) -> io::Result<()> {
        let file = self.file(hash);
        let folder = file.parent().unwrap_or(&self.path);
        let is_new = !fs::try_exists(folder).await?;
        fs::create_dir_all(folder).await?;
        fs::rename(draft, &file).await?;
        File::open(folder).await?.sync_all().await?;
        if is_new {
            File::open(&self.path).await?.sync_all().await?;
        }
        Ok(())
    }
}

/// A file that is removed unless it is kept.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        // A draft that was renamed is not there; any other is also removed at the next start.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[async_trait]
impl Assets for LocalFolder {
    async fn put(&self, hash: Hash, mut content: ByteStream, most_bytes: u64) -> Result<u64, AssetError> {
        let name = self.next_draft.fetch_add(1, Ordering::Relaxed).to_string();
        let draft = Draft(self.path.join(DRAFTS).join(name));
        let mut file = File::create_new(&draft.0).await.map_err(failed)?;
        let mut intake = Intake::new(hash, most_bytes);
        while let Some(piece) = content.next().await {
            file.write_all(&intake.take(piece)?).await.map_err(failed)?;
        }
        let size_bytes = intake.end()?;
        file.flush().await.map_err(failed)?;
        file.sync_all().await.map_err(failed)?;
        self.place(&draft.0, hash).await.map_err(failed)?;
        Ok(size_bytes)
    }

    async fn get(&self, hash: Hash) -> Result<Option<Asset>, AssetError> {
        let file = match File::open(self.file(hash)).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let size_bytes = file.metadata().await.map_err(failed)?.len();
        if size_bytes == 0 && hash != blake3::hash(b"") {
            return Err(failed(damaged(hash)));
        }
        let reading = Reading { file, left: size_bytes, expected: hash, hasher: blake3::Hasher::new() };
        Ok(Some(Asset { size_bytes, content: stream::try_unfold(reading, Reading::next).boxed() }))
    }

    async fn has(&self, hash: Hash) -> Result<bool, AssetError> {
        fs::try_exists(self.file(hash)).await.map_err(failed)
    }

    async fn remove(&self, hash: Hash) -> Result<(), AssetError> {
        match fs::remove_file(self.file(hash)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        }
    }
}

/// A file on its way out.
struct Reading {
    file: File,
    left: u64,
    expected: Hash,
    hasher: blake3::Hasher,
}

impl Reading {
    /// The next piece; the last one only when the hash of the whole is right.
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut piece = vec![0; self.left.min(PIECE_BYTES as u64) as usize];
        self.file.read_exact(&mut piece).await?;
        self.hasher.update(&piece);
        self.left -= piece.len() as u64;
        if self.left == 0 && self.hasher.finalize() != self.expected {
            return Err(damaged(self.expected));
        }
        Ok(Some((piece.into(), self)))
    }
}

fn damaged(hash: Hash) -> io::Error {
    tracing::error!(%hash, "an asset is damaged on disk");
    io::Error::new(io::ErrorKind::InvalidData, "the asset is damaged")
}

fn failed(error: io::Error) -> AssetError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => AssetError::Full,
        _ => AssetError::Io(error),
    }
}
