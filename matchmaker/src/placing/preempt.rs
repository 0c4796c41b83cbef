//! Interruptible sessions make way for players who find no slot, after a notice.
//!
//! Which those are, and which of them were told, stands in the store: any replica chooses among all of them, and what
//! one has told another carries out.

use crate::bus::SessionEvent;
use crate::sessions;
use crate::state::Shared;
use crate::store::StoreError;
use crate::store::placement::InterruptibleRow;
use nearframe_placement::Request;
use nearframe_placement::assign::preempt::{Eviction, Task, evict};
use nearframe_protocol::EndReason;
use nearframe_protocol::signal::ToPage;

/// The sessions that make way for `request`, and by when; none where as many do already as players wait, or nothing
/// helps.
fn choose(
    shared: &Shared,
    rows: &[InterruptibleRow],
    request: &Request,
) -> Option<(Vec<InterruptibleRow>, u64)> {
    let fleet = shared.fleet();
    let makes_way = |row: &&InterruptibleRow| row.ends_ms.is_some() && fleet.could_take_at(request, row.node);
    if rows.iter().filter(makes_way).count() as u64 >= shared.placing.waiting.len() {
        return None;
    }
    let open = (0..).zip(rows).filter(|(_, row)| row.ends_ms.is_none());
    let task = |(id, row): (u64, &InterruptibleRow)| Task {
        id,
        node: row.node,
        slots: 1,
        kept_at_ms: row.since_ms,
        interruptions: 0,
    };
    let open: Vec<Task> = open.map(task).collect();
    let allowed = |node| fleet.could_take_at(request, node);
    let chosen = evict(&open, 1, shared.now_ms(), allowed, |node| fleet.free_slots(node));
    let Eviction { tasks, free_at_ms, .. } = chosen?;
    let told = tasks.iter().filter_map(|id| rows.get(usize::try_from(*id).ok()?).copied()).collect();
    Some((told, free_at_ms))
}

/// A player waits for a slot: the interruptible sessions that lose least are told to end.
pub(crate) async fn make_way(shared: &Shared, request: &Request) -> Result<(), StoreError> {
    let rows = shared.store.interruptible().await?;
    let Some((told, at_ms)) = choose(shared, &rows, request) else { return Ok(()) };
    for InterruptibleRow { session, .. } in told {
        if shared.store.give_notice(session, at_ms).await? {
            tracing::info!(%session, "an interruptible session makes way for a player");
            shared.metrics.preempted.add();
            shared.bus.publish(session, SessionEvent::All(ToPage::Interruption { at_ms })).await;
        }
    }
    Ok(())
}

/// Ends the sessions whose notice is over.
pub(crate) async fn end_due(shared: &Shared) -> Result<(), StoreError> {
    let rows = shared.store.interruptible().await?;
    shared.metrics.interruptible.set(rows.len());
    let now_ms = shared.now_ms();
    for row in rows.iter().filter(|row| row.ends_ms.is_some_and(|ends_ms| ends_ms <= now_ms)) {
        sessions::end(shared, row.session, EndReason::Preempted).await?;
    }
    Ok(())
}
