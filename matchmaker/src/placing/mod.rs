//! What placement needs of the world: who asks and from where, what was measured, who waits, what is reserved.
//!
//! Decisions are `nearframe-placement`'s; here its inputs are gathered and its outcomes carried out. What must outlive
//! the process lies in the store; the queue is shared by word of mouth, and whoever waits asks again.

pub(crate) mod addresses;
pub(crate) mod groups;
pub(crate) mod history;
pub(crate) mod outlook;
pub(crate) mod plan;
pub(crate) mod preempt;
pub(crate) mod rules;
pub(crate) mod survey;
pub(crate) mod waiting;
pub(crate) mod warm;

use crate::http::limits::Limiter;
use crate::state::Shared;
use addresses::Addresses;
use groups::Groups;
use nearframe_placement::latency::{Client, ClientKey};
use rules::Rules;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use waiting::Waiting;
use warm::Warmth;

/// Surveys that one address may make in a minute: each names at most 8 nodes.
const SURVEYS_PER_MINUTE: u32 = 120;
/// An epoch of the latency history: a week has seven, and a lie needs more than half of eight.
const EPOCH_MS: u64 = 24 * 3600 * 1000;

/// The state of placement beside the fleet.
pub(crate) struct Placing {
    addresses: OnceLock<Addresses>,
    pub(crate) limit: Limiter,
    pub(crate) waiting: Waiting,
    pub(crate) groups: Groups,
    pub(crate) warmth: Warmth,
    rules: Mutex<Rules>,
    /// One at a time decides while anything is reserved: the room of a region is counted, then taken.
    pub(crate) turn: tokio::sync::Mutex<()>,
}

impl Placing {
    pub(crate) fn new() -> Self {
        Self {
            addresses: OnceLock::new(),
            limit: Limiter::per_minute(SURVEYS_PER_MINUTE),
            waiting: Waiting::default(),
            groups: Groups::default(),
            warmth: Warmth::default(),
            rules: Mutex::default(),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// Looks addresses up there from now on.
    pub(crate) fn know(&self, addresses: Addresses) {
        // Set once, at the start.
        let _ = self.addresses.set(addresses);
    }

    /// The operator's rules; the lock is never held across an await.
    pub(crate) fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the databases of addresses say.
    pub(crate) fn look_up(&self, address: IpAddr) -> addresses::Found {
        self.addresses.get().map(|known| known.of(address)).unwrap_or_default()
    }

    /// Who asks, as far as the network is concerned.
    pub(crate) fn client(&self, address: IpAddr) -> Client {
        let found = self.look_up(address);
        let area = found.asn.map(|asn| ClientKey::Area { asn, metro: found.metro.unwrap_or(0) });
        Client { prefix: Some(ClientKey::of(address)), area, place: found.place }
    }
}

/// The epoch of a time.
pub(crate) fn epoch(now_ms: u64) -> u32 {
    u32::try_from(now_ms / EPOCH_MS).unwrap_or(u32::MAX)
}

/// What a page measured, or what is known of its address.
pub(crate) struct Asker {
    pub(crate) client: Client,
    pub(crate) measured: Vec<nearframe_placement::measuring::Measured>,
}

impl Asker {
    /// Of a request from `address` that may bring measurements; those that are too old or not ours are left aside.
    pub(crate) fn of(
        shared: &Shared,
        address: IpAddr,
        measured: Option<&nearframe_protocol::measure::Measured>,
        now_ms: u64,
    ) -> Self {
        let taken = measured.and_then(|measured| survey::take(shared, measured, now_ms));
        taken.unwrap_or_else(|| Self { client: shared.placing.client(address), measured: Vec::new() })
    }
}
