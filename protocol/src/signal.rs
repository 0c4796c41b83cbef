//! Signalling between page and matchmaker: a WebSocket at `/v1/sessions/{id}/signal`, one JSON object
//! per text message.
//!
//! The page's first message is `hello` with the ticket it got from `POST /v1/sessions`; everything
//! else is refused until the ticket is checked. The page may connect again with the same ticket
//! while the session lives.

use crate::PeerId;
use crate::attest::Attestation;
use crate::key::Nonce;
use crate::network::IceServer;
use crate::session::{EndReason, Seat, SessionState};
use crate::version::VersionOffer;
use serde::{Deserialize, Serialize};

/// Longest signalling message, in bytes. A browser's offer is 6 to 10 kB.
pub const MAX_SIGNAL_BYTES: usize = 64 * 1024;

/// Page → matchmaker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromPage {
    /// First message.
    Hello {
        /// What the page speaks.
        versions: VersionOffer,
        /// From `POST /v1/sessions`.
        ticket: String,
    },
    /// An SDP offer. A new `peer` makes a new connection in the seat; a known one restarts ICE.
    Offer {
        /// Chosen by the page.
        peer: PeerId,
        /// Which seat.
        seat: Seat,
        /// SDP with all candidates gathered so far.
        sdp: String,
        /// Fresh, to be signed by the node.
        nonce: Nonce,
    },
    /// A candidate found after the offer (RFC 8838).
    Candidate {
        /// Which peer.
        peer: PeerId,
        /// `candidate:…`; empty for the end of candidates.
        candidate: String,
        /// m-line it belongs to.
        #[serde(default)]
        sdp_mid: Option<String>,
    },
    /// The player leaves; the session ends.
    Leave,
}

/// Matchmaker → page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToPage {
    /// The ticket is good.
    Welcome {
        /// Agreed version of this door.
        version: u16,
        /// Servers for `RTCPeerConnection`, with credentials as long as the session.
        ice_servers: Vec<IceServer>,
    },
    /// The node's answer.
    Answer {
        /// Which peer.
        peer: PeerId,
        /// SDP.
        sdp: String,
        /// To be checked before `setRemoteDescription`.
        attestation: Attestation,
    },
    /// A candidate of the node.
    Candidate {
        /// Which peer.
        peer: PeerId,
        /// `candidate:…`.
        candidate: String,
        /// m-line it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sdp_mid: Option<String>,
    },
    /// The session's state changed.
    State {
        /// The new state.
        state: SessionState,
    },
    /// An interruptible session ends soon: keep what has been done. Only on such sessions.
    Interruption {
        /// When it ends, Unix ms by the matchmaker's clock.
        at_ms: u64,
    },
    /// The session is over; the socket closes after this.
    Ended {
        /// Why.
        reason: EndReason,
        /// What to tell the player.
        message: String,
    },
    /// Something sent was not understood or not allowed; the socket closes after this.
    Error {
        /// Stable code, such as `bad_ticket`.
        code: String,
        /// What was wrong and what to do.
        message: String,
    },
}
