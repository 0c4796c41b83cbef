//! The node's signature over its DTLS fingerprint.
//!
//! The page got the node's public key with its ticket; checking this statement before
//! `setRemoteDescription` means that whoever sits in the signalling path cannot put itself between
//! page and node.
//!
//! Canonical bytes (120): `"nearframe/attest/v1\0"` (20) · session (16) · SHA-256 DTLS
//! fingerprint (32) · the page's nonce (32) · expiry, Unix time in ms, u64 little-endian (8) ·
//! 12 zero bytes, reserved.

use crate::key::{KeyError, NodeKey, Nonce, PublicKey, Signature};
use crate::{SessionId, key::hex_bytes};
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

const DOMAIN: &[u8; 20] = b"nearframe/attest/v1\0";

hex_bytes!(
    /// SHA-256 of a DTLS certificate.
    Fingerprint,
    32
);

/// What can be wrong with hex here is what can be wrong with any key.
impl Fingerprint {
    /// Reads the `a=fingerprint:sha-256 AA:BB:…` line of an SDP.
    pub fn from_sdp(sdp: &str) -> Option<Self> {
        let line = sdp.lines().find_map(|line| line.trim().strip_prefix("a=fingerprint:sha-256 "))?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(line.replace(':', ""), &mut bytes).ok()?;
        Some(Self::from_bytes(bytes))
    }
}

/// {session, fingerprint, nonce, expiry}, signed by the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attestation {
    /// The session the answer belongs to.
    pub session: SessionId,
    /// The fingerprint in the answer.
    pub fingerprint: Fingerprint,
    /// The nonce from the page's offer.
    pub nonce: Nonce,
    /// Not valid after this Unix time in ms, by the matchmaker's clock.
    pub expires_at_ms: u64,
    /// The node's signature over the canonical bytes.
    pub signature: Signature,
}

impl Attestation {
    /// Signs the statement.
    pub fn sign(
        key: &NodeKey,
        session: SessionId,
        fingerprint: Fingerprint,
        nonce: Nonce,
        expires_at_ms: u64,
    ) -> Self {
        let signature = key.sign(&canonical(session, &fingerprint, &nonce, expires_at_ms));
        Self { session, fingerprint, nonce, expires_at_ms, signature }
    }
    /// Checks the signature; the caller checks session, nonce and expiry against what it knows.
    pub fn verify(&self, key: &PublicKey) -> Result<(), KeyError> {
        let bytes = canonical(self.session, &self.fingerprint, &self.nonce, self.expires_at_ms);
        key.verify(&bytes, &self.signature)
    }
}

fn canonical(session: SessionId, fingerprint: &Fingerprint, nonce: &Nonce, expires_at_ms: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(120);
    bytes.extend_from_slice(DOMAIN);
    bytes.extend_from_slice(session.as_bytes());
    bytes.extend_from_slice(fingerprint.as_bytes());
    bytes.extend_from_slice(nonce.as_bytes());
    bytes.extend_from_slice(&expires_at_ms.to_le_bytes());
    bytes.extend_from_slice(&[0; 12]);
    bytes
}
