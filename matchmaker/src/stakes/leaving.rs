//! When machines are reached, written down; and those with a stake that went away without notice.

use super::{all, rules_at};
use crate::state::{Phase, Shared};
use crate::store::StoreError;
use crate::store::accounts::Holding;
use crate::store::service::{ReachRow, Reached};
use crate::trust;
use nearframe_ledger::settlement::{DAY_MS, Epoch};
use nearframe_protocol::NodeId;
use nearframe_trust::reach::{Machine, Seen, joined};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::time::Duration;

/// Machines that left longer ago were found long ago: longer than any rule lets them be away.
const WINDOW_DAYS: u64 = 62;

/// What is reached is noted this often.
pub(crate) const TICK: Duration = Duration::from_secs(15);
/// Less than two notes apart is without a break: a shorter absence is none.
const GAP_MS: u64 = 35_000;

/// Notes which machines are reached from here, and that the matchmaker runs.
pub(crate) async fn note(shared: &Shared) -> Result<(), StoreError> {
    if *shared.phase.borrow() == Phase::Closed {
        return Ok(());
    }
    let mut subjects = vec![Reached::Service];
    {
        let fleet = shared.fleet();
        let here = fleet.linked_here(None).map(|(node, _)| node);
        subjects.extend(here.filter(|node| fleet.is_online(*node)).map(Reached::Node));
    }
    shared.store.note_reached(&subjects, shared.now_ms(), GAP_MS).await
}

/// What was seen of all machines in a time, and when each was enrolled. Times are cut to it.
pub(crate) async fn seen(
    shared: &Shared,
    time: Range<u64>,
) -> Result<(Seen, HashMap<NodeId, u64>), StoreError> {
    let mut service = vec![];
    let mut nodes: BTreeMap<NodeId, Vec<Range<u64>>> = BTreeMap::new();
    for ReachRow { subject, time: reached } in shared.store.reached(time.clone()).await? {
        // What was reached a moment ago is: the next note says so.
        let until_ms = if reached.end + GAP_MS >= time.end { time.end } else { reached.end };
        let reached = reached.start.max(time.start)..until_ms;
        match subject {
            Reached::Service => service.push(reached),
            Reached::Node(node) => nodes.entry(node).or_default().push(reached),
        }
    }
    let ids: Vec<NodeId> = nodes.keys().copied().collect();
    let rows = shared.store.nodes_of(&ids).await?;
    let regions: HashMap<_, _> = rows.into_iter().map(|row| (row.id, row.region)).collect();
    let networks: HashMap<NodeId, u32> = {
        let fleet = shared.fleet();
        let number = |node: &NodeId| {
            let offer = fleet.member(*node)?.offer.as_ref()?;
            Some((*node, offer.terms.location.as_ref()?.asn?))
        };
        ids.iter().filter_map(number).collect()
    };
    let mut machines = Vec::with_capacity(nodes.len());
    for (node, reached) in nodes {
        machines.push(Machine {
            node,
            owner: shared.store.owner(&Holding::Node(node)).await?,
            region: regions.get(&node).cloned().unwrap_or_default(),
            network: networks.get(&node).copied(),
            reached: joined(reached),
        });
    }
    let enrolled = shared.store.enrolled().await?.into_iter().collect();
    Ok((Seen { time, service: joined(service), machines }, enrolled))
}

/// Opens a case about each machine with a stake that went away for too long without notice. The same absence is the same
/// case, whoever finds it and however often.
pub(crate) async fn look(shared: &Shared) -> Result<(), StoreError> {
    if !shared.config.trust.judge || *shared.phase.borrow() == Phase::Closed {
        return Ok(());
    }
    let staking: Vec<_> = all(shared)
        .await?
        .into_iter()
        .filter(|held| held.stake.staked_micros > 0 && held.stake.releases_at_ms.is_none())
        .collect();
    if staking.is_empty() {
        return Ok(());
    }
    let now_ms = shared.now_ms();
    let rules = rules_at(shared, now_ms).await?;
    let (seen, enrolled) = seen(shared, now_ms.saturating_sub(WINDOW_DAYS * DAY_MS)..now_ms).await?;
    for held in staking {
        let Some(machine) = seen.machines.iter().find(|machine| machine.node == held.node) else { continue };
        let since_ms = enrolled.get(&held.node).copied().unwrap_or(0);
        if let Some((gone_ms, finding)) = seen.left_early(machine, since_ms, rules.leave_hours) {
            let id = trust::case_id(finding.node, finding.kind, Epoch::of(gone_ms));
            trust::open_case(shared, id, finding, now_ms).await?;
        }
    }
    Ok(())
}
