//! The link between node and matchmaker: a WebSocket that the node dials at `/v1/nodes/link`, one JSON
//! object per text message.
//!
//! The matchmaker speaks first (`challenge`); the node proves its key (`hello`), enrolling with a
//! one-time code when it is new; then heartbeats flow and commands come back. The node reconnects by
//! itself; sessions outlive a lost link, and receipts are spooled until acknowledged.

use crate::attest::Attestation;
use crate::auction::{Call, OpenBid, SealedBid};
use crate::capability::SignedCapability;
use crate::key::{NodeKey, Nonce, PublicKey, Signature};
use crate::measure::{self, Reflector};
use crate::network::IceServer;
use crate::receipt::SignedReceipt;
use crate::save::SaveGrant;
use crate::session::{EndReason, Generation, Seat, SpendLimit};
use crate::terms::NodeTerms;
use crate::title::{TitleEntry, TitleHash, TitleId};
use crate::uplink::{self, Uplink};
use crate::version::VersionOffer;
use crate::{AuctionId, NodeId, PeerId, SessionId};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use utoipa::ToSchema;

/// Longest message of the link, in bytes: a hello with [`MAX_COVERS_BYTES`] of covers and a thousand titles.
pub const MAX_LINK_BYTES: usize = 4 * 1024 * 1024;
/// Covers in one hello, decoded, in bytes; titles beyond it are announced without theirs.
pub const MAX_COVERS_BYTES: usize = 2 * 1024 * 1024;
/// A node sends a heartbeat this often, in ms.
pub const HEARTBEAT_MS: u64 = 1000;
/// A node not heard for this long is lost, in ms.
pub const NODE_LOST_MS: u64 = 3000;

/// Feature: the node keeps titles warm when it is told to.
pub const PREWARM: &str = "prewarm";
/// Feature: the node bids in auctions and stands by.
pub const AUCTIONS: &str = "auctions";

const HELLO_DOMAIN: &[u8] = b"nearframe/node-hello/v1\0";

/// What a node offers: the one description of it that placement reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NodeOffer {
    /// What its owner calls it.
    pub name: String,
    /// ISO 3166-1 alpha-2 country and optional subdivision, such as `DE` or `US-CA`; empty if unknown.
    pub region: String,
    /// Sessions it can run at once.
    pub slots: u32,
    /// Adapter, as measured.
    pub adapter: String,
    /// Encoders, best first, such as `["OpenH264"]`.
    pub encoders: Vec<String>,
    /// Titles it holds.
    pub titles: Vec<HeldTitle>,
    /// What was measured there, signed; absent from nodes of releases that measure nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capability: Option<SignedCapability>,
    /// What it can do and on what terms.
    #[serde(default)]
    pub terms: NodeTerms,
}

/// A title that a node holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeldTitle {
    /// As the catalogue shows it.
    pub entry: TitleEntry,
    /// Cover picture, base64, at most 256 KiB decoded; sent by the node so that the matchmaker can
    /// show it without reading the node's disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cover_base64: Option<String>,
}

/// Node → matchmaker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromNode {
    /// Answer to the challenge.
    Hello {
        /// What the node speaks.
        versions: VersionOffer,
        /// The node's key.
        public_key: PublicKey,
        /// Over [`hello_bytes`].
        signature: Signature,
        /// Needed once, by a key the matchmaker does not know.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        enrolment_code: Option<String>,
        /// What it can do.
        offer: Box<NodeOffer>,
        /// Sessions that still run on it, from before a lost link.
        sessions: Vec<RunningSession>,
    },
    /// How pages may measure this node; replaces what was said before. Only where the matchmaker has
    /// [`measure::FEATURE`].
    Reflector {
        /// Its addresses and secret.
        reflector: Box<Reflector>,
    },
    /// Alive.
    Heartbeat {
        /// Grows by one; an old or repeated one changes nothing.
        sequence: u64,
        /// Sessions that run now.
        sessions: Vec<RunningSession>,
    },
    /// The node wants its uplink measured on this link, which it uses for nothing else and closes afterwards. Only where
    /// the matchmaker has [`uplink::FEATURE`].
    MeasureUplink,
    /// The node will take no new sessions.
    Draining,
    /// A session's first player has a picture.
    Live {
        /// Which.
        session: SessionId,
        /// Its generation.
        generation: Generation,
    },
    /// The answer to an offer.
    Answer {
        /// Which session.
        session: SessionId,
        /// Which peer.
        peer: PeerId,
        /// SDP.
        sdp: String,
        /// Signed by the node's key.
        attestation: Attestation,
    },
    /// A candidate for a peer.
    Candidate {
        /// Which session.
        session: SessionId,
        /// Which peer.
        peer: PeerId,
        /// `candidate:…`.
        candidate: String,
        /// m-line.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sdp_mid: Option<String>,
    },
    /// A receipt; repeated until acknowledged.
    Receipt {
        /// The receipt.
        receipt: Box<SignedReceipt>,
    },
    /// What the node asks, sealed. Only to a matchmaker that called for it.
    Seal {
        /// The seal.
        sealed: SealedBid,
    },
    /// What was sealed, opened when the matchmaker asks for it.
    Open {
        /// The bid and what it was sealed with.
        open: Box<OpenBid>,
    },
    /// A session ended on the node.
    Ended {
        /// Which.
        session: SessionId,
        /// Its generation.
        generation: Generation,
        /// Why.
        reason: EndReason,
        /// For the operator's log.
        #[serde(default)]
        detail: String,
    },
}

/// A session that runs on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningSession {
    /// Which.
    pub session: SessionId,
    /// Its generation.
    pub generation: Generation,
}

/// Matchmaker → node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToNode {
    /// First message.
    Challenge {
        /// To be signed.
        nonce: Nonce,
        /// What the matchmaker speaks.
        versions: VersionOffer,
    },
    /// The node is in.
    Welcome {
        /// Its id.
        node: NodeId,
        /// Agreed version of this door.
        version: u16,
        /// The matchmaker's clock, Unix ms.
        now_ms: u64,
    },
    /// The node is not let in; the link closes after this.
    Refused {
        /// Stable code, such as `enrolment_needed`.
        code: String,
        /// What was wrong and what to do.
        message: String,
    },
    /// Start a session.
    Start {
        /// Which.
        session: SessionId,
        /// Its generation.
        generation: Generation,
        /// What plays.
        title: TitleId,
        /// Exactly which bytes.
        hash: TitleHash,
        /// Key that countersigns receipts.
        player_key: PublicKey,
        /// TURN and STUN for the node's side.
        ice_servers: Vec<IceServer>,
        /// The player's saves; absent where the matchmaker keeps none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        save: Option<SaveGrant>,
        /// What the session's first frames are to answer ([`crate::check::challenge`]).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        challenge: Option<Nonce>,
    },
    /// A page's offer.
    Offer {
        /// Which session.
        session: SessionId,
        /// Which peer.
        peer: PeerId,
        /// Which seat.
        seat: Seat,
        /// SDP.
        sdp: String,
        /// To be signed.
        nonce: Nonce,
        /// Until when the attestation is to hold, Unix ms by the matchmaker's clock.
        expires_at_ms: u64,
    },
    /// A page's candidate.
    Candidate {
        /// Which session.
        session: SessionId,
        /// Which peer.
        peer: PeerId,
        /// `candidate:…`.
        candidate: String,
        /// m-line.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sdp_mid: Option<String>,
    },
    /// End a session.
    Stop {
        /// Which.
        session: SessionId,
        /// Why.
        reason: EndReason,
        /// By which limit, where what may be spent is used up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<SpendLimit>,
    },
    /// Lets a page in that is about to measure: a few packets go to its outside address, so that what stands before
    /// the node expects an answer. Only to a node that has [`measure::FEATURE`], as the next.
    Check {
        /// The page's address, which it was seen with.
        address: SocketAddr,
        /// The username fragment of the survey's ticket: once it does not hold any more, nothing is sent.
        ufrag: String,
    },
    /// Binary messages of at most [`uplink::MOST_CHUNK_BYTES`] are taken from now on, until `uplink_measured`.
    UplinkOpen,
    /// Others are being measured, or the link is not free for it: try again later.
    UplinkLater,
    /// The measurement is over.
    UplinkMeasured {
        /// What was seen; absent where too little came to say anything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uplink: Option<Uplink>,
    },
    /// Servers by which the reflector learns its outside address.
    StunServers {
        /// `stun:host:port`.
        urls: Vec<String>,
    },
    /// Titles to keep at their menu from now on, besides those that the host wants so. Only to a node that has
    /// [`PREWARM`].
    Prewarm {
        /// Which; replaces what was said before.
        titles: Vec<TitleId>,
    },
    /// Machines are wanted: bid, if you want to be one. Only to a node that has [`AUCTIONS`], as the next two.
    Auction {
        /// What is wanted.
        call: Box<Call>,
    },
    /// All seals are in: open yours.
    Reveal {
        /// Of which auction.
        auction: AuctionId,
    },
    /// Keep a slot free for whoever reserved it, and state the time with receipts, until `stop` comes.
    StandBy {
        /// What it is called, as a session is.
        session: SessionId,
        /// Its generation.
        generation: Generation,
    },
    /// This receipt is safe; the node may forget it.
    ReceiptTaken {
        /// Which session.
        session: SessionId,
        /// Its generation.
        generation: Generation,
        /// Which receipt.
        sequence: u32,
    },
    /// This receipt will never be taken; the node keeps it aside and tells its owner.
    ReceiptRefused {
        /// Which session.
        session: SessionId,
        /// Its generation.
        generation: Generation,
        /// Which receipt.
        sequence: u32,
        /// Why.
        message: String,
    },
}

/// What this release speaks on the link.
pub fn versions() -> VersionOffer {
    let features = [measure::FEATURE, PREWARM, uplink::FEATURE, AUCTIONS].map(str::to_owned).to_vec();
    VersionOffer { features, ..VersionOffer::current() }
}

/// What a node signs to prove its key.
pub fn hello_bytes(nonce: &Nonce) -> Vec<u8> {
    [HELLO_DOMAIN, nonce.as_bytes()].concat()
}

/// Signs the challenge.
pub fn sign_hello(key: &NodeKey, nonce: &Nonce) -> Signature {
    key.sign(&hello_bytes(nonce))
}
