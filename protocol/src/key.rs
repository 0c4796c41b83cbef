//! Ed25519 keys and signatures (RFC 8032), written as lower-case hex in JSON.

use ed25519_dalek::{Signer, Verifier};
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

macro_rules! hex_bytes {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Wraps the raw bytes.
            pub fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }
            /// The raw bytes.
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = KeyError;
            fn try_from(text: String) -> Result<Self, KeyError> {
                let mut bytes = [0; $len];
                hex::decode_to_slice(text.as_bytes(), &mut bytes)
                    .map_err(|_| KeyError::Hex { what: stringify!($name), bytes: $len })?;
                Ok(Self(bytes))
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> String {
                hex::encode(value.0)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), hex::encode(self.0))
            }
        }
    };
}
pub(crate) use hex_bytes;

hex_bytes!(
    /// An Ed25519 public key: 32 bytes.
    PublicKey,
    32
);
hex_bytes!(
    /// An Ed25519 signature: 64 bytes.
    Signature,
    64
);
hex_bytes!(
    /// 32 random bytes that make a signed statement fresh.
    Nonce,
    32
);

impl PublicKey {
    /// Checks `signature` over `message`; refuses weak keys and malleable signatures.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), KeyError> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(&self.0).map_err(|_| KeyError::BadKey)?;
        if key.is_weak() {
            return Err(KeyError::BadKey);
        }
        key.verify(message, &ed25519_dalek::Signature::from_bytes(&signature.0))
            .map_err(|_| KeyError::BadSignature)
    }
}

/// A node's signing key. Its bytes never appear in `Debug` or JSON.
#[derive(Clone)]
pub struct NodeKey(ed25519_dalek::SigningKey);

impl NodeKey {
    /// The key with this 32-byte seed.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(&seed))
    }
    /// The seed, to be kept in a file only its owner can read.
    pub fn seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }
    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }
    /// Signs `message`.
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey(public {})", self.public())
    }
}

/// What can be wrong with a key or a signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not hex of the right length.
    #[error("{what} must be {bytes} bytes as lower-case hex")]
    Hex {
        /// The type that was wanted.
        what: &'static str,
        /// Its length in bytes.
        bytes: usize,
    },
    /// Not a usable Ed25519 point.
    #[error("the public key is not a valid Ed25519 key")]
    BadKey,
    /// The signature does not belong to this message and key.
    #[error("the signature does not match the message and the key")]
    BadSignature,
}
