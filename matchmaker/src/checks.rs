//! Audits: who is drawn when, and what a checker gets to place its session where the draw says.

use crate::random;
use crate::state::Shared;
use crate::store::StoreError;
use crate::store::checks::{DayRow, Take};
use nearframe_placement::Request;
use nearframe_protocol::check::NextCheck;
use nearframe_protocol::check::draw::{self, Audit, Seed, day_of};
use nearframe_protocol::{NodeId, PublicKey, TitleId};
use std::collections::HashSet;

/// An audit may be carried out from when it is due until this much later, ms.
const OPEN_MS: u64 = 2 * 3600 * 1000;
/// Whoever took one has this long to report, ms; then it is another's.
const STALE_MS: u64 = 10 * 60 * 1000;
/// What a token for a session is sealed for.
const PURPOSE: &str = "check";

/// The day's seed and rules; the first to ask makes them.
pub(crate) async fn day(shared: &Shared, day: u32) -> Result<DayRow, StoreError> {
    let fresh = DayRow { day, seed: Seed::from_bytes(random::bytes()), rules: shared.config.checks };
    shared.store.check_day(&fresh).await
}

/// The audit that is due for the longest and that nobody carries out; it is this checker's from now on.
pub(crate) async fn next(shared: &Shared, checker: PublicKey) -> Result<Option<NextCheck>, StoreError> {
    let now = shared.now_ms();
    let today = day_of(now);
    let stale_before_ms = now.saturating_sub(STALE_MS);
    let mut days = shared.store.check_days(today, 1).await?;
    days.retain(|row| row.day + 1 == today);
    days.push(day(shared, today).await?);
    let closed = shared.store.closed_audits(today.saturating_sub(1), stale_before_ms).await?;
    let closed: HashSet<(Audit, NodeId)> = closed.into_iter().collect();
    let nodes = shared.store.enrolled().await?;
    for (due_ms, audit, node) in open(&days, &nodes, now) {
        if closed.contains(&(audit, node)) || !shared.fleet().is_online(node) {
            continue;
        }
        let Some(title) = title(shared, node) else { continue };
        let take = Take { audit, node, checker, now_ms: now, stale_before_ms };
        if shared.store.take_audit(&take).await? {
            tracing::info!(%node, day = audit.day, hour = audit.hour, "an audit is carried out");
            let until_ms = (now + STALE_MS).min(due_ms + OPEN_MS);
            return Ok(Some(NextCheck {
                audit,
                node,
                title,
                check: token(shared, node, until_ms),
                until_ms,
            }));
        }
    }
    Ok(None)
}

/// What is due and not too late, the oldest first. `nodes`: with the times of their enrolment.
fn open(days: &[DayRow], nodes: &[(NodeId, u64)], now: u64) -> Vec<(u64, Audit, NodeId)> {
    let of = |(node, enrolled_at_ms): &(NodeId, u64)| {
        let (node, enrolled_at_ms) = (*node, *enrolled_at_ms);
        days.iter().flat_map(move |row| {
            let rate = row.rules.rate(enrolled_at_ms, row.day);
            draw::audits(&row.seed, node, row.day, rate)
                .filter(move |(_, due_ms)| *due_ms <= now && now < due_ms + OPEN_MS)
                // Before it was there, nothing of it could be checked.
                .filter(move |(_, due_ms)| enrolled_at_ms <= *due_ms)
                .map(move |(audit, due_ms)| (due_ms, audit, node))
        })
    };
    let mut open: Vec<_> = nodes.iter().flat_map(of).collect();
    open.sort_unstable();
    open
}

/// One of the titles that the node could run now, by chance: a node must not know what checkers play.
fn title(shared: &Shared, node: NodeId) -> Option<TitleId> {
    let fleet = shared.fleet();
    let titles = &fleet.member(node)?.titles;
    let could = |held: &&std::sync::Arc<nearframe_protocol::link::HeldTitle>| {
        fleet.could_take_at(&Request::play(held.entry.id.clone(), held.entry.hash), node)
    };
    let possible: Vec<_> = titles.iter().filter(could).collect();
    let chance = u64::from_le_bytes(random::bytes());
    let chosen = chance.checked_rem(possible.len() as u64)?;
    Some(possible[chosen as usize].entry.id.clone())
}

fn token(shared: &Shared, node: NodeId, until_ms: u64) -> String {
    shared.seal(PURPOSE, &[&node.as_bytes()[..], &until_ms.to_le_bytes()].concat())
}

/// The node that a token places a session on; `None` for one that is forged or too old.
pub(crate) fn node_of(shared: &Shared, token: &str) -> Option<NodeId> {
    let bytes = shared.unseal(PURPOSE, token)?;
    let (node, until) = bytes.split_first_chunk::<16>()?;
    let until_ms = u64::from_le_bytes(until.try_into().ok()?);
    (shared.now_ms() < until_ms).then(|| NodeId::from_bytes(*node))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearframe_protocol::check::draw::{DAY_MS, Rules};

    #[test]
    fn what_is_due_opens_at_its_time_and_closes_two_hours_later_also_past_midnight() {
        // Every node in every hour.
        let rules = Rules { new_days: 0, new_per_day: 24, per_day: 24 };
        let row = |day: u32| DayRow { day, seed: Seed::from_bytes([day as u8; 32]), rules };
        let (days, node) = ([row(100), row(101)], NodeId::from_bytes([7; 16]));
        let all: Vec<u64> = days
            .iter()
            .flat_map(|row| draw::audits(&row.seed, node, row.day, 24).map(|(_, due_ms)| due_ms))
            .collect();
        let midnight = 101 * DAY_MS;
        for now in [midnight - 1, midnight + 60_000, midnight + 5 * 3_600_000] {
            let expected: Vec<u64> =
                all.iter().copied().filter(|due| *due <= now && now - due < OPEN_MS).collect();
            assert!((1..=3).contains(&expected.len()), "{expected:?}");
            let told: Vec<u64> = open(&days, &[(node, 0)], now).iter().map(|(due, ..)| *due).collect();
            assert_eq!(told, expected);
            assert!(open(&days, &[(node, now + 1)], now).is_empty(), "it was not there yet");
        }
        assert!(open(&[], &[(node, 0)], midnight).is_empty());
    }
}
