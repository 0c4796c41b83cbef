//! Keys that make repeating an order harmless.

use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

/// Names an order for ever. The caller chooses it, by a text or by 16 bytes that are as good as random.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key([u8; 16]);

impl Key {
    /// The key of a text: the first 16 bytes of its SHA-256.
    pub fn of(text: &str) -> Self {
        Self(first_half(Sha256::digest(text.as_bytes()).into()))
    }
    /// The key with these bytes, which have to be as good as random: of an id or of a hash.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// What an order asked for, in 16 bytes: the first of the SHA-256 of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// Of an order's body.
    pub(super) fn of(body: &[u8]) -> Self {
        Self(first_half(Sha256::digest(body).into()))
    }
    /// The fingerprint with these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

fn first_half(hash: [u8; 32]) -> [u8; 16] {
    let (half, _) = hash.split_first_chunk().expect("16 of 32 bytes");
    *half
}

/// Every key that was ever carried out. What is there is never forgotten; where it is kept is the keeper's matter.
pub trait Keys {
    /// What makes it fail.
    type Error;
    /// What the order with this key asked for, if there was one.
    fn find(&mut self, key: &Key) -> Result<Option<Fingerprint>, Self::Error>;
    /// Remembers a key that [`Keys::find`] did not know.
    fn remember(&mut self, key: Key, fingerprint: Fingerprint);
}

/// A map by key. Keys are as good as random, so that eight of their bytes are a hash.
pub type KeyMap<T> = HashMap<Key, T, BuildHasherDefault<KeyHasher>>;

/// Takes the first bytes of a key as its hash.
#[derive(Debug, Default)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = self.0.rotate_left(5) ^ u64::from_le_bytes(word);
        }
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

/// Keys in memory: for tests and simulations, and for what is not yet on a disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryKeys(KeyMap<Fingerprint>);

impl MemoryKeys {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// What was asked for under a key.
    pub fn get(&self, key: &Key) -> Option<Fingerprint> {
        self.0.get(key).copied()
    }
    /// Takes all out, in the order of the keys.
    pub fn drain_sorted(&mut self) -> Vec<(Key, Fingerprint)> {
        let mut all: Vec<_> = self.0.drain().collect();
        all.sort_unstable();
        all
    }
}

impl Keys for MemoryKeys {
    type Error = std::convert::Infallible;
    fn find(&mut self, key: &Key) -> Result<Option<Fingerprint>, Self::Error> {
        Ok(self.get(key))
    }
    fn remember(&mut self, key: Key, fingerprint: Fingerprint) {
        self.0.insert(key, fingerprint);
    }
}
