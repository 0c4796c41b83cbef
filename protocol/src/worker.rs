//! Agent ↔ session worker: a Unix stream socket, frames of u32 little-endian length and one JSON object.
//!
//! The worker connects to the agent's socket and says `hello`; a warm spare waits for `start`. The
//! node's key stays with the agent: the worker states facts, the agent signs them.

use crate::key::{Nonce, PublicKey, Signature};
use crate::network::{IceServer, MediaNetwork};
use crate::receipt::Receipt;
use crate::session::{EndReason, Generation, Seat};
use crate::version::VersionOffer;
use crate::{PeerId, SessionId};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Longest frame, in bytes.
pub const MAX_FRAME_BYTES: usize = 256 * 1024;

/// Agent → worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToWorker {
    /// Answer to the worker's hello.
    Hello {
        /// What the agent speaks.
        versions: VersionOffer,
    },
    /// Become this session.
    Start(Box<Start>),
    /// A page's offer.
    Offer {
        /// Which peer.
        peer: PeerId,
        /// Which seat.
        seat: Seat,
        /// SDP.
        sdp: String,
        /// Goes back with the answer.
        nonce: Nonce,
        /// Goes back with the answer.
        expires_at_ms: u64,
    },
    /// A page's candidate.
    Candidate {
        /// Which peer.
        peer: PeerId,
        /// `candidate:…`.
        candidate: String,
        /// m-line.
        sdp_mid: Option<String>,
    },
    /// The agent chained and signed this receipt; show it to the player for signing.
    Receipt {
        /// The chained receipt.
        receipt: Receipt,
    },
    /// End now.
    Stop {
        /// Why.
        reason: EndReason,
    },
}

/// Everything a worker needs to become a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// Which session.
    pub session: SessionId,
    /// Its generation.
    pub generation: Generation,
    /// Folder with `title.toml`.
    pub title_dir: PathBuf,
    /// Key that countersigns receipts.
    pub player_key: PublicKey,
    /// Where media may flow.
    pub network: MediaNetwork,
    /// STUN and TURN servers for the node's side.
    pub ice_servers: Vec<IceServer>,
    /// Highest video bitrate.
    pub max_bitrate_bps: u32,
    /// Seed of the title's randomness.
    pub seed: u64,
}

/// Worker → agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromWorker {
    /// First message.
    Hello {
        /// What the worker speaks.
        versions: VersionOffer,
        /// Process id.
        pid: u32,
    },
    /// The answer to an offer.
    Answer {
        /// Which peer.
        peer: PeerId,
        /// SDP.
        sdp: String,
        /// From the offer.
        nonce: Nonce,
        /// From the offer.
        expires_at_ms: u64,
    },
    /// A candidate of the worker.
    Candidate {
        /// Which peer.
        peer: PeerId,
        /// `candidate:…`.
        candidate: String,
        /// m-line.
        sdp_mid: Option<String>,
    },
    /// A first picture went out to a connected player.
    Live,
    /// 10 s are over, or the session is: what was used since the last of these. The agent fills in
    /// sequence and previous hash.
    Used {
        /// Unchained.
        usage: Receipt,
    },
    /// The player signed a receipt.
    Signed {
        /// Which.
        sequence: u32,
        /// The signature, not yet checked.
        signature: Signature,
    },
    /// The session is over; the worker exits after this.
    Ended {
        /// Why.
        reason: EndReason,
        /// For the operator's log.
        detail: String,
    },
}
