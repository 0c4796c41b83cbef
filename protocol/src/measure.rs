//! Measuring candidate nodes from a page, before there is a session.
//!
//! A page cannot send raw UDP, but an ICE connectivity check (RFC 8445) is a round trip. The matchmaker names a few
//! nodes with the credentials of a check; the page builds each node's answer itself and reads how long the checks
//! take; the node's reflector answers them and keeps nothing.
//!
//! A **ticket** is the ICE username fragment of such a check: its expiry and 8 random bytes. Its password follows
//! from the ticket and a secret that the node drew and told the matchmaker alone, so that the node knows a ticket
//! without having been told of it, and answers nobody else.

use crate::network::IceServer;
use crate::placement::{PlacementCost, RefusedCount};
use crate::version::VersionOffer;
use crate::{NodeId, TitleId, key::KeyError, key::hex_bytes};
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;
use utoipa::ToSchema;

/// Feature of the link: the node has a reflector, the matchmaker names it to pages.
pub const FEATURE: &str = "measure";
/// A ticket holds this long, in s: a page measures at once, and once more through a relay.
pub const TICKET_S: u32 = 60;
/// Candidates of one survey: more would take longer than they save.
pub const MOST_CANDIDATES: usize = 8;
/// Addresses that a reflector is announced with.
pub const MOST_ADDRESSES: usize = 8;
/// A longer round trip is none that anybody plays over, µs; what is reported above it counts as it.
pub const LONGEST_RTT_US: u32 = 2_000_000;

const PASSWORD_DOMAIN: &[u8] = b"nearframe/reflector/v1\0";
/// Expiry and random bytes.
const TICKET_BYTES: usize = 12;

hex_bytes!(
    /// What a node's tickets get their passwords from: 32 random bytes, known to the node and its matchmaker.
    ReflectorSecret,
    32
);

/// How a node answers connectivity checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reflector {
    /// Where pages reach it, at most [`MOST_ADDRESSES`].
    pub addresses: Vec<SocketAddr>,
    /// What tickets get their passwords from.
    pub secret: ReflectorSecret,
    /// Whether something in front of it lets only those in to whom it has sent.
    #[serde(default)]
    pub behind_nat: bool,
}

/// Username fragment and password of one node's checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// 16 characters that ICE allows.
    pub ufrag: String,
    /// 32 characters that ICE allows.
    pub password: String,
}

impl Ticket {
    /// A ticket that holds until `expires_s`, Unix s by the matchmaker's clock.
    pub fn new(secret: &ReflectorSecret, expires_s: u32, random: [u8; 8]) -> Self {
        let mut bytes = [0; TICKET_BYTES];
        bytes[..4].copy_from_slice(&expires_s.to_le_bytes());
        bytes[4..].copy_from_slice(&random);
        let ufrag = BASE64_STANDARD_NO_PAD.encode(bytes);
        let password = password(secret, &ufrag);
        Self { ufrag, password }
    }

    /// The ticket that a username fragment stands for, if it still holds at `now_s`. Whoever does not know the
    /// password cannot use it.
    pub fn read(secret: &ReflectorSecret, ufrag: &str, now_s: u64) -> Option<Self> {
        let bytes = BASE64_STANDARD_NO_PAD.decode(ufrag).ok()?;
        let bytes: [u8; TICKET_BYTES] = bytes.try_into().ok()?;
        let expires_s = u64::from(u32::from_le_bytes(*bytes.first_chunk()?));
        // One from further ahead was not made by the rule; a few seconds are what clocks may differ by.
        let holds = now_s <= expires_s && expires_s <= now_s + 2 * u64::from(TICKET_S);
        holds.then(|| Self { ufrag: ufrag.to_owned(), password: password(secret, ufrag) })
    }
}

fn password(secret: &ReflectorSecret, ufrag: &str) -> String {
    let message = [PASSWORD_DOMAIN, ufrag.as_bytes()].concat();
    BASE64_STANDARD_NO_PAD.encode(&blake3::keyed_hash(secret.as_bytes(), &message).as_bytes()[..24])
}

/// `POST /v1/surveys`: which nodes to measure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSurvey {
    /// What the page speaks.
    pub versions: VersionOffer,
    /// Only nodes that may take this title; any where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<TitleId>,
}

/// The nodes to measure, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Survey {
    /// Agreed version of this door.
    pub version: u16,
    /// Opaque; goes back with what was measured.
    pub survey: String,
    /// Until when it is taken back, Unix ms.
    pub expires_at_ms: u64,
    /// At most 8 nodes. None where there is nothing to choose between.
    pub candidates: Vec<Candidate>,
    /// For a page that no check reaches directly, and to learn its outside address for a node behind a NAT.
    pub ice_servers: Vec<IceServer>,
}

/// A node that may be measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Candidate {
    /// Which.
    pub node: NodeId,
    /// Where its reflector is reached by UDP: `address:port`.
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<SocketAddr>,
    /// ICE username fragment of its answer.
    pub ufrag: String,
    /// ICE password of its answer.
    pub password: String,
    /// Whether it has to send first: tell `POST /v1/surveys/checks` the page's outside address.
    pub behind_nat: bool,
}

/// `POST /v1/surveys/checks`: the page's outside addresses, for nodes behind a NAT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckRequest {
    /// From the survey.
    pub survey: String,
    /// At most one address for each candidate.
    pub checks: Vec<Check>,
}

/// One node that is to send first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Which.
    pub node: NodeId,
    /// The page's server-reflexive address for this node's connection: `address:port`.
    #[schema(value_type = String)]
    pub address: SocketAddr,
}

/// What a page measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// From the survey.
    pub survey: String,
    /// Lowest round trips, the first one of each left out; nodes that did not answer are absent.
    pub nodes: Vec<MeasuredNode>,
}

/// A node's lowest round trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MeasuredNode {
    /// Which.
    pub node: NodeId,
    /// In µs.
    pub rtt_us: u32,
}

/// What a player may expect before anything is started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Outlook {
    /// Title by title, by id.
    pub titles: Vec<TitleOutlook>,
}

/// What a player may expect of one title.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TitleOutlook {
    /// Which.
    pub title: TitleId,
    /// Round trip to the node that would be chosen now, ms; absent where nothing is known about the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// What the round trip is known from.
    pub known_by: KnownBy,
    /// Region of that node, empty if unknown.
    pub region: String,
    /// The picture that the node would encode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<Picture>,
    /// How it will feel.
    pub quality: ExpectedQuality,
    /// The wait for a slot; absent where one is free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
    /// What stands in the way where there is no wait and no node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedCount>,
    /// What choosing that node weighs, in µs of round trip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<PlacementCost>,
}

/// What a round trip is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KnownBy {
    /// This browser measured it just now.
    Measured,
    /// Its network measured it before.
    History,
    /// Distance, as a database of addresses has it.
    Distance,
    /// Nothing.
    Nothing,
}

/// Size and rate of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Picture {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Frames per second.
    pub fps: u32,
}

/// How a round trip feels while playing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExpectedQuality {
    /// As if it ran here.
    Excellent,
    /// Hardly felt.
    Good,
    /// Felt in fast games.
    Fair,
    /// Felt everywhere.
    Poor,
    /// Nothing is known about the way.
    Unknown,
}

impl ExpectedQuality {
    /// By the round trip alone, ms: what the network adds to every answer of the title.
    pub fn of_rtt_ms(rtt_ms: f64) -> Self {
        match rtt_ms {
            rtt if rtt <= 20.0 => Self::Excellent,
            rtt if rtt <= 45.0 => Self::Good,
            rtt if rtt <= 90.0 => Self::Fair,
            _ => Self::Poor,
        }
    }
}

/// A place in the queue, and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Wait {
    /// How many are served before, plus one.
    pub place: u32,
    /// Half of those told so wait less, ms; absent where too few slots were given out lately to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub likely_ms: Option<u64>,
    /// Nine of ten wait less, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> ReflectorSecret {
        ReflectorSecret::from_bytes([7; 32])
    }

    #[test]
    fn a_ticket_is_known_by_the_node_that_was_never_told_of_it_until_it_expires() {
        let ticket = Ticket::new(&secret(), 1_000, [1; 8]);
        assert_eq!(Ticket::read(&secret(), &ticket.ufrag, 990), Some(ticket.clone()));
        assert_eq!(Ticket::read(&secret(), &ticket.ufrag, 1_001), None, "too old");
        assert_eq!(Ticket::read(&secret(), &ticket.ufrag, 500), None, "from the future");
        let other = ReflectorSecret::from_bytes([8; 32]);
        let forged = Ticket::read(&other, &ticket.ufrag, 990).unwrap();
        assert_ne!(forged.password, ticket.password, "another node's password is another");
        assert_eq!(Ticket::read(&secret(), "rubbish", 990), None);
    }

    #[test]
    fn its_words_are_such_as_ice_allows() {
        let ticket = Ticket::new(&secret(), u32::MAX, [255; 8]);
        let ice_char = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
        assert!((4..=256).contains(&ticket.ufrag.len()) && ticket.ufrag.chars().all(ice_char));
        assert!((22..=256).contains(&ticket.password.len()) && ticket.password.chars().all(ice_char));
    }
}
