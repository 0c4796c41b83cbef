//! Assets in memory, for tests: the same contract, and faults on demand.

use super::{Asset, AssetError, Assets, ByteStream, Hash, Intake};
use async_trait::async_trait;
use axum::body::Bytes;
use futures_util::{StreamExt, stream};
use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What goes wrong next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The next put finds no room.
    Full,
    /// The next call fails.
    Io,
    /// The next get gives content of which one bit fell over.
    Flipped,
}

/// Assets that are forgotten with their process.
#[derive(Debug, Default)]
pub struct InMemory {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    assets: HashMap<Hash, Bytes>,
    fault: Option<Fault>,
}

impl InMemory {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets this go wrong, once.
    pub fn fail(&self, fault: Fault) {
        self.lock().fault = Some(fault);
    }

    /// How many assets are there.
    pub fn count(&self) -> usize {
        self.lock().assets.len()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trip(&self) -> Result<(), AssetError> {
        match self.lock().fault.take_if(|fault| *fault == Fault::Io) {
            Some(_) => Err(AssetError::Io(io::Error::other("injected"))),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Assets for InMemory {
    async fn put(&self, hash: Hash, mut content: ByteStream, most_bytes: u64) -> Result<u64, AssetError> {
        self.trip()?;
        let mut intake = Intake::new(hash, most_bytes);
        let mut all = Vec::new();
        while let Some(piece) = content.next().await {
            all.extend_from_slice(&intake.take(piece)?);
        }
        let size_bytes = intake.end()?;
        let mut inner = self.lock();
        if inner.fault.take_if(|fault| *fault == Fault::Full).is_some() {
            return Err(AssetError::Full);
        }
        inner.assets.insert(hash, all.into());
        Ok(size_bytes)
    }

    async fn get(&self, hash: Hash) -> Result<Option<Asset>, AssetError> {
        self.trip()?;
        let mut inner = self.lock();
        let Some(content) = inner.assets.get(&hash).cloned() else { return Ok(None) };
        let flipped = inner.fault.take_if(|fault| *fault == Fault::Flipped).is_some();
        let piece = if flipped {
            Err(io::Error::new(io::ErrorKind::InvalidData, "the asset is damaged"))
        } else {
            Ok(content.clone())
        };
        Ok(Some(Asset { size_bytes: content.len() as u64, content: stream::iter([piece]).boxed() }))
    }

    async fn has(&self, hash: Hash) -> Result<bool, AssetError> {
        self.trip()?;
        Ok(self.lock().assets.contains_key(&hash))
    }

    async fn remove(&self, hash: Hash) -> Result<(), AssetError> {
        self.trip()?;
        self.lock().assets.remove(&hash);
        Ok(())
    }
}
