//! Hashes of 32 bytes, written as lower-case hex.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// SHA-256 or Keccak-256.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash32(pub [u8; 32]);

/// A text that is no hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hash is 64 letters of lower-case hex")]
pub struct HashError;

impl FromStr for Hash32 {
    type Err = HashError;
    fn from_str(text: &str) -> Result<Self, HashError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| HashError)?;
        let hash = Self(bytes);
        if hash.to_string() == text { Ok(hash) } else { Err(HashError) }
    }
}
impl TryFrom<String> for Hash32 {
    type Error = HashError;
    fn try_from(text: String) -> Result<Self, HashError> {
        text.parse()
    }
}
impl From<Hash32> for String {
    fn from(hash: Hash32) -> String {
        hash.to_string()
    }
}
impl fmt::Display for Hash32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}
impl fmt::Debug for Hash32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash32({self})")
    }
}
