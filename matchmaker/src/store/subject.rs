//! What a transaction decides about, for databases in which several write at once.

use super::Hash;
use nearframe_protocol::{AccountId, CaseId, GuestId, MemberId, NodeId, PublicKey, ReservationId, SessionId};

/// What a transaction decides about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subject<'a> {
    /// Who leases in a region.
    Region(&'a str),
    /// A request that may be repeated.
    Request(Hash),
    /// How many sessions a guest has.
    Guest(GuestId),
    /// Who is in an account.
    Members(AccountId),
    /// Which identities and passkeys a member has.
    Ways(MemberId),
    /// Whom an identity is linked to: an issuer and a subject.
    Identity(&'a str, &'a str),
    /// Which keys an account has.
    Keys(AccountId),
    /// Which webhooks an account has.
    Webhooks(AccountId),
    /// What an operator ordered about a node.
    Orders(NodeId),
    /// Who a node is.
    NodeKey(PublicKey),
    /// What is known and decided about a case.
    Case(CaseId),
    /// What earnings are spent on: payouts and stakes.
    Earnings,
    /// What of payments is given back: paid back or credited.
    Refunds,
    /// Which machines are promised to whom.
    Market,
    /// Which machines a reservation holds.
    Reservation(ReservationId),
    /// A session with its lease, receipts and transfers.
    Session(SessionId),
    /// What an account subscribes to, and what leases hold of that.
    Plan(AccountId),
    /// Which assets are needed.
    Saves,
    /// Which numbers sites have.
    LatencySites,
    /// What is known of round trips.
    Latency,
    /// What is booked.
    Bookings,
    /// The last line of the audit trail.
    AuditTrail,
    /// Who tries which deliveries.
    Deliveries,
}

/// What nobody else decides about while a transaction runs, or only together with it. In the order in which
/// transactions take them: regions, requests, guests, reservations, sessions.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lock<'a> {
    /// Nobody else does.
    Alone(Subject<'a>),
    /// Only others who share it.
    Shared(Subject<'a>),
}

impl Subject<'_> {
    /// A number for a database that locks numbers. Two subjects with the same one only wait for each other.
    pub(super) fn number(self) -> i64 {
        let mut hasher = blake3::Hasher::new();
        match self {
            Self::Region(region) => hasher.update(b"region").update(region.as_bytes()),
            Self::Request(key) => hasher.update(b"request").update(&key),
            Self::Guest(guest) => hasher.update(b"guest").update(guest.as_bytes()),
            Self::Members(account) => hasher.update(b"members").update(account.as_bytes()),
            Self::Ways(member) => hasher.update(b"ways").update(member.as_bytes()),
            Self::Identity(issuer, subject) => {
                hasher.update(b"identity").update(&(issuer.len() as u64).to_le_bytes());
                hasher.update(issuer.as_bytes()).update(subject.as_bytes())
            }
            Self::Keys(account) => hasher.update(b"keys").update(account.as_bytes()),
            Self::Webhooks(account) => hasher.update(b"webhooks").update(account.as_bytes()),
            Self::Orders(node) => hasher.update(b"orders").update(node.as_bytes()),
            Self::NodeKey(key) => hasher.update(b"node key").update(key.as_bytes()),
            Self::Case(case) => hasher.update(b"case").update(case.as_bytes()),
            Self::Earnings => hasher.update(b"earnings"),
            Self::Refunds => hasher.update(b"refunds"),
            Self::Market => hasher.update(b"market"),
            Self::Reservation(id) => hasher.update(b"reservation").update(id.as_bytes()),
            Self::Session(session) => hasher.update(b"session").update(session.as_bytes()),
            Self::Plan(account) => hasher.update(b"plan").update(account.as_bytes()),
            Self::Saves => hasher.update(b"saves"),
            Self::LatencySites => hasher.update(b"latency sites"),
            Self::Latency => hasher.update(b"latency"),
            Self::Bookings => hasher.update(b"bookings"),
            Self::AuditTrail => hasher.update(b"audit trail"),
            Self::Deliveries => hasher.update(b"deliveries"),
        };
        let mut number = [0; 8];
        hasher.finalize_xof().fill(&mut number);
        i64::from_le_bytes(number)
    }
}
