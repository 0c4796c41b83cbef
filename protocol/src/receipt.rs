//! Receipts: what a session used, in final form from the first one on.
//!
//! Every 10 s the node states what it did since the last receipt; the statement is chained to the one
//! before by SHA-256, signed by the node and countersigned by the player's session key.
//!
//! Canonical bytes (148, little-endian): `"NFRCPT01"` (8) · session (16) · generation u32 ·
//! sequence u32 · previous hash (32) · duration_us u64 · frames u32 · bytes u64 · encoder_us u64 ·
//! width u16 · height u16 · rtt_us u32 · packets_sent u32 · packets_lost u32 · zero (40, reserved).
//! The hash of a receipt is SHA-256 over these bytes; the first one has a previous hash of zeros.
//! Node and player sign `"nearframe/receipt/v1\0"` followed by the canonical bytes.

use crate::key::{KeyError, NodeKey, PublicKey, Signature, hex_bytes};
use crate::wire::{Reader, WireError};
use crate::{Generation, SessionId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use utoipa::ToSchema;

const MAGIC: &[u8; 8] = b"NFRCPT01";
const DOMAIN: &[u8] = b"nearframe/receipt/v1\0";
/// Length of a receipt's canonical bytes.
pub const RECEIPT_LEN: usize = 148;
/// A receipt is due this often, in seconds.
pub const RECEIPT_INTERVAL_S: u64 = 10;

hex_bytes!(
    /// SHA-256 of a receipt's canonical bytes.
    ReceiptHash,
    32
);

impl ReceiptHash {
    /// What the first receipt of a session names as its predecessor.
    pub const ZERO: Self = Self([0; 32]);
}

/// What was used between the previous receipt and this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    /// The session.
    pub session: SessionId,
    /// Its placement generation; each generation has its own chain.
    pub generation: Generation,
    /// 0, 1, 2, … without gaps.
    pub sequence: u32,
    /// Hash of the receipt before this one.
    pub previous: ReceiptHash,
    /// Time covered, by the node's monotonic clock, in µs.
    pub duration_us: u64,
    /// Frames handed to the network.
    pub frames: u32,
    /// Media bytes handed to the network, retransmissions included.
    pub bytes: u64,
    /// Time the encoder worked, in µs.
    pub encoder_us: u64,
    /// Width in pixels at the end of the interval.
    pub width: u16,
    /// Height in pixels at the end of the interval.
    pub height: u16,
    /// Smoothed round-trip time at the end of the interval, in µs; 0 where unknown.
    pub rtt_us: u32,
    /// Media packets sent.
    pub packets_sent: u32,
    /// Media packets that the player's end reported lost.
    pub packets_lost: u32,
}

impl Receipt {
    /// The bytes that are hashed and signed.
    pub fn canonical(&self) -> [u8; RECEIPT_LEN] {
        let mut out = Vec::with_capacity(RECEIPT_LEN);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(self.session.as_bytes());
        out.extend_from_slice(&self.generation.0.to_le_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(self.previous.as_bytes());
        out.extend_from_slice(&self.duration_us.to_le_bytes());
        out.extend_from_slice(&self.frames.to_le_bytes());
        out.extend_from_slice(&self.bytes.to_le_bytes());
        out.extend_from_slice(&self.encoder_us.to_le_bytes());
        out.extend_from_slice(&self.width.to_le_bytes());
        out.extend_from_slice(&self.height.to_le_bytes());
        out.extend_from_slice(&self.rtt_us.to_le_bytes());
        out.extend_from_slice(&self.packets_sent.to_le_bytes());
        out.extend_from_slice(&self.packets_lost.to_le_bytes());
        out.resize(RECEIPT_LEN, 0);
        out.try_into().unwrap_or([0; RECEIPT_LEN])
    }

    /// Reads canonical bytes; refuses any other form, so that one receipt has one encoding.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut r = Reader::new(bytes);
        if r.bytes(8)? != MAGIC {
            return Err(WireError::Range("magic"));
        }
        let receipt = Self {
            session: SessionId::from_bytes(r.array()?),
            generation: Generation(r.u32()?),
            sequence: r.u32()?,
            previous: ReceiptHash(r.array()?),
            duration_us: r.u64()?,
            frames: r.u32()?,
            bytes: r.u64()?,
            encoder_us: r.u64()?,
            width: r.u16()?,
            height: r.u16()?,
            rtt_us: r.u32()?,
            packets_sent: r.u32()?,
            packets_lost: r.u32()?,
        };
        if r.bytes(RECEIPT_LEN - 108)?.iter().any(|&b| b != 0) {
            return Err(WireError::Range("reserved"));
        }
        r.end()?;
        Ok(receipt)
    }

    /// SHA-256 over the canonical bytes: what the next receipt names as `previous`.
    pub fn hash(&self) -> ReceiptHash {
        ReceiptHash(Sha256::digest(self.canonical()).into())
    }

    /// What node and player sign.
    pub fn signed_bytes(&self) -> Vec<u8> {
        [DOMAIN, &self.canonical()].concat()
    }
}

/// A receipt with its signatures, as the node reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignedReceipt {
    /// The statement.
    pub receipt: Receipt,
    /// The node's signature.
    pub node_signature: Signature,
    /// The player's; absent when the player left before signing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub player_signature: Option<Signature>,
}

impl SignedReceipt {
    /// Signs as the node.
    pub fn sign(key: &NodeKey, receipt: Receipt) -> Self {
        let node_signature = key.sign(&receipt.signed_bytes());
        Self { receipt, node_signature, player_signature: None }
    }
    /// Checks the node's signature, and the player's where there is one.
    pub fn verify(&self, node: &PublicKey, player: &PublicKey) -> Result<(), KeyError> {
        let bytes = self.receipt.signed_bytes();
        node.verify(&bytes, &self.node_signature)?;
        match &self.player_signature {
            Some(signature) => player.verify(&bytes, signature),
            None => Ok(()),
        }
    }
}
