//! Agent ↔ session worker: a Unix stream socket, frames of u32 little-endian length and one JSON object.
//!
//! The worker connects to the agent's socket and says `hello`; a warm spare waits for `start`. The
//! node's key stays with the agent: the worker states facts, the agent signs them.

use crate::key::{Nonce, PublicKey, Signature};
use crate::network::{IceServer, MediaNetwork};
use crate::receipt::Receipt;
use crate::save::PackHash;
use crate::session::{EndReason, Generation, Seat, SpendLimit};
use crate::version::VersionOffer;
use crate::{PeerId, SessionId};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Longest frame, in bytes.
pub const MAX_FRAME_BYTES: usize = 256 * 1024;
/// Name of the pack to restore, in the folder `save_dir`.
pub const RESTORE_PACK: &str = "restore.pack";
/// Ending of the packs that a worker writes.
pub const PACK_ENDING: &str = "pack";

/// Agent → worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToWorker {
    /// Answer to the worker's hello.
    Hello {
        /// What the agent speaks.
        versions: VersionOffer,
    },
    /// Start this title and wait with it, frozen at its menu, for a session that plays it.
    Prepare(Box<Prepare>),
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
        /// By which limit, where what may be spent is used up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<SpendLimit>,
    },
}

/// A title to be started before anybody asks for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prepare {
    /// Folder with `title.toml`.
    pub title_dir: PathBuf,
    /// As in [`Start`].
    pub dir: PathBuf,
    /// As in [`Start`].
    pub home: PathBuf,
    /// Seed of the title's randomness.
    pub seed: u64,
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
    /// Private folder of the worker, with a short path, for sockets.
    pub dir: PathBuf,
    /// The title's home, as empty as a new machine but for what was saved.
    pub home: PathBuf,
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
    /// Where packs of saves change hands: [`RESTORE_PACK`] lies here when there is one to restore, and
    /// the worker puts its own here, each renamed into place whole, before it says `saved`. `None`:
    /// nothing is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub save_dir: Option<PathBuf>,
    /// What the first frames are to answer ([`crate::check::challenge`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<Nonce>,
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
    /// A pack of the title's saves stands complete in the folder `save_dir`.
    Saved {
        /// The pack: a file directly in `save_dir`, named `000.pack`, `001.pack` and so on.
        file: PathBuf,
        /// Of its bytes.
        hash: PackHash,
        /// Files in it.
        files: u32,
        /// Its length.
        bytes: u64,
        /// The last one of this session.
        last: bool,
    },
    /// The session is over; the worker exits after this.
    Ended {
        /// Why.
        reason: EndReason,
        /// For the operator's log.
        detail: String,
    },
}
