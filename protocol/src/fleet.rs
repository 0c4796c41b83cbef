//! The operator's side of placement, and what players may ask beyond one session: residency, queue, groups, bookings.
//! Types of the HTTP API.

use crate::measure::Wait;
use crate::session::SessionState;
use crate::title::TitleId;
use crate::{NodeId, SessionId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where something may run: ISO 3166 codes, of which `DE` covers `DE-BY`. A node whose region is not known is allowed
/// nowhere that anything restricts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Residency {
    /// Codes it may run in; empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Codes it may never run in; wins over `allow`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

/// Codes in one list.
pub const MOST_CODES: usize = 256;

impl Residency {
    /// Refuses what is no code.
    pub fn check(&self) -> Result<(), &'static str> {
        let is_code = |code: &String| {
            let (country, part) = code.split_once('-').unwrap_or((code, "0"));
            let upper = |text: &str| text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
            country.len() == 2 && upper(country) && (1..=3).contains(&part.len()) && upper(part)
        };
        let lists = [&self.allow, &self.deny];
        if lists.iter().any(|list| list.len() > MOST_CODES) {
            return Err("a list of regions has at most 256 codes");
        }
        let all = lists.into_iter().flatten().all(is_code);
        if all { Ok(()) } else { Err("regions are codes of ISO 3166 such as DE or US-CA") }
    }
}

/// Answer to `POST /v1/sessions` while there is no slot, or while a group gathers: ask again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Pending {
    /// Goes with the next request, as `queue`: it keeps the place.
    pub queue: String,
    /// Ask again after this, ms; a place is kept for 15 s without being asked for.
    pub again_in_ms: u32,
    /// The place in the queue, where that is what is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
    /// Members of the group that came, and how many it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gathered: Option<Gathered>,
}

/// How far a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Gathered {
    /// Members that asked for their session.
    pub joined: u32,
    /// Members in all.
    pub size: u32,
}

/// A place in the queue that the caller holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Queued {
    /// For which title.
    pub title: TitleId,
    /// Since when, Unix ms.
    pub since_ms: u64,
    /// Place and time.
    pub wait: Wait,
}

/// `POST /v1/groups`: players who want to be together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateGroup {
    /// What they play.
    pub title: TitleId,
    /// How many they are, 2 to 16.
    pub size: u32,
    /// On what.
    pub together: Together,
}

/// How near to each other the members of a group are placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Together {
    /// One node: it feels as it does for the farthest of them.
    Node,
    /// One region, in which each has the nearest node.
    Region,
}

/// A group that gathers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Group {
    /// Secret; each member sends it as `group` with `POST /v1/sessions`, again and again until it has its session.
    pub group: String,
    /// Until when all have to have come, Unix ms.
    pub expires_at_ms: u64,
}

/// `POST /v1/bookings` (operator): slots of a region for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateBooking {
    /// Which region, as nodes write it.
    pub region: String,
    /// From when, Unix ms.
    pub from_ms: u64,
    /// Until when, Unix ms.
    pub until_ms: u64,
    /// How many slots.
    pub slots: u32,
    /// For whom.
    #[serde(default)]
    pub note: String,
}

/// Slots that were booked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Booking {
    /// Secret; goes with `POST /v1/sessions` as `booking` and into `DELETE /v1/bookings/{booking}`.
    pub booking: String,
    /// Where.
    pub region: String,
    /// From when, Unix ms.
    pub from_ms: u64,
    /// Until when, Unix ms.
    pub until_ms: u64,
    /// How many slots.
    pub slots: u32,
    /// Sessions that play on it now.
    pub used: u32,
    /// For whom.
    pub note: String,
}

/// `PUT /v1/regions/{region}/reserve` (operator).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reserve {
    /// Slots that players without a booking never get; 0 takes the reserve back.
    pub slots: u32,
}

/// `PUT /v1/nodes/{id}/ban` and `/drain` (operator).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GiveOrder {
    /// Why, 1 to 500 characters.
    pub reason: String,
    /// What shows it: links, sessions, measurements; at most 4000 characters.
    #[serde(default)]
    pub evidence: String,
    /// Ends the sessions that run there, too.
    #[serde(default)]
    pub end_sessions: bool,
}

/// An order about a node, standing or lifted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Order {
    /// `ban` or `drain`.
    pub kind: String,
    /// Why.
    pub reason: String,
    /// What shows it.
    pub evidence: String,
    /// Since when, Unix ms.
    pub since_ms: u64,
    /// When it was lifted, Unix ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifted_ms: Option<u64>,
}

/// `GET /v1/fleet` (operator).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FleetView {
    /// Enrolled nodes, by name, at most 2000 of them; those that are there come first.
    pub nodes: Vec<FleetNode>,
    /// How many nodes there are in all.
    pub total: u64,
    /// Region by region.
    pub regions: Vec<FleetRegion>,
    /// Who waits, first to last, at most 100.
    pub queue: Vec<QueueRow>,
    /// How many wait in all.
    pub waiting: u64,
    /// Decisions of this server, newest first, at most 50.
    pub placements: Vec<PlacementRow>,
    /// Bookings that are not over.
    pub bookings: Vec<Booking>,
    /// Client prefixes whose round trips are remembered.
    pub clients_remembered: u64,
    /// Sites that nodes stand or stood in.
    pub sites: u64,
}

/// A node as the operator sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FleetNode {
    /// Id.
    pub id: NodeId,
    /// What its owner calls it.
    pub name: String,
    /// Region, empty if unknown.
    pub region: String,
    /// Where it says, or its address says, that it stands: degrees north and east.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<[f64; 2]>,
    /// Connected, heard in the last 3 s.
    pub online: bool,
    /// Takes no new sessions, by its own word or the operator's.
    pub draining: bool,
    /// Shut out.
    pub banned: bool,
    /// Orders that stand.
    pub orders: Vec<Order>,
    /// Sessions at once.
    pub slots: u32,
    /// Sessions now.
    pub busy: u32,
    /// Median round trip of what players measured to its site lately, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// Whether pages can measure it.
    pub measurable: bool,
    /// Adapter.
    pub adapter: String,
}

/// How full a region is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetRegion {
    /// Its code, empty for nodes that do not say.
    pub region: String,
    /// Nodes that take sessions.
    pub nodes: u32,
    /// Their slots.
    pub slots: u32,
    /// Slots that are free.
    pub free: u32,
    /// Slots that spot never gets.
    pub reserve: u32,
    /// Slots booked right now.
    pub booked: u32,
}

/// Who waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QueueRow {
    /// For which title.
    pub title: TitleId,
    /// Since when, Unix ms.
    pub since_ms: u64,
    /// Place and time.
    pub wait: Wait,
}

/// A decision; its reasons: `GET /v1/sessions/{id}/placement`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlacementRow {
    /// Of which session.
    pub session: SessionId,
    /// When, Unix ms.
    pub decided_at_ms: u64,
    /// What was chosen.
    pub node: NodeId,
    /// What its owner calls it.
    pub name: String,
    /// How the session stands, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<SessionState>,
}

/// `POST /v1/sessions/{id}/path`: how far the node is while playing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PathReport {
    /// Lowest round trip of the last minute, µs, over the way that media take.
    pub rtt_us: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_of_regions_are_taken() {
        let rules = |code: &str| Residency { allow: vec![code.to_owned()], deny: vec![] };
        for good in ["DE", "US-CA", "GB-ENG", "FR-75"] {
            assert_eq!(rules(good).check(), Ok(()), "{good}");
        }
        for bad in ["", "de", "Germany", "US-", "US-CALI", "D E"] {
            assert!(rules(bad).check().is_err(), "{bad}");
        }
    }
}
