//! Interruptible sessions make way for players who find no slot, after a notice.

use crate::bus::SessionEvent;
use crate::sessions;
use crate::state::Shared;
use crate::store::{SessionRow, StoreError};
use nearframe_placement::Request;
use nearframe_placement::assign::preempt::{Eviction, Task, evict};
use nearframe_protocol::signal::ToPage;
use nearframe_protocol::{EndReason, SessionId};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Interruptible sessions of this process. One that was begun before a restart is not interrupted any more.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Mutex<BTreeMap<u64, Running>>);

#[derive(Debug)]
struct Running {
    session: SessionId,
    task: Task,
    /// When it ends, once it was told, Unix ms.
    ends_ms: Option<u64>,
}

impl Tasks {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An interruptible session begins.
    pub(crate) fn begin(&self, row: &SessionRow) {
        let mut tasks = self.lock();
        let id = tasks.last_key_value().map_or(0, |(id, _)| id + 1);
        let task = Task { id, node: row.node, slots: 1, kept_at_ms: row.created_at_ms, interruptions: 0 };
        tasks.insert(id, Running { session: row.id, task, ends_ms: None });
    }

    /// A session ended, interruptible or not.
    pub(crate) fn ended(&self, session: SessionId) {
        self.lock().retain(|_, running| running.session != session);
    }

    /// How many run.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// The sessions that make way for `request`, told from now on to end; none where as many do already as
    /// players wait, or nothing helps.
    fn choose(&self, shared: &Shared, request: &Request, waiting: u64, now_ms: u64) -> Vec<(SessionId, u64)> {
        let fleet = shared.fleet();
        let mut tasks = self.lock();
        let makes_way =
            |running: &Running| running.ends_ms.is_some() && fleet.could_take_at(request, running.task.node);
        if tasks.values().filter(|running| makes_way(running)).count() as u64 >= waiting {
            return Vec::new();
        }
        let open: Vec<Task> =
            tasks.values().filter(|running| running.ends_ms.is_none()).map(|running| running.task).collect();
        let allowed = |node| fleet.could_take_at(request, node);
        let chosen = evict(&open, 1, now_ms, allowed, |node| fleet.free_slots(node));
        let Some(Eviction { tasks: ids, free_at_ms, .. }) = chosen else { return Vec::new() };
        let mut told = Vec::new();
        for id in ids {
            if let Some(running) = tasks.get_mut(&id) {
                running.ends_ms = Some(free_at_ms);
                told.push((running.session, free_at_ms));
            }
        }
        told
    }

    fn due(&self, now_ms: u64) -> Vec<SessionId> {
        let tasks = self.lock();
        let over = tasks.values().filter(|running| running.ends_ms.is_some_and(|ends_ms| ends_ms <= now_ms));
        over.map(|running| running.session).collect()
    }
}

/// A player waits for a slot: the interruptible sessions that lose least are told to end.
pub(crate) async fn make_way(shared: &Shared, request: &Request) {
    let waiting = shared.placing.waiting.len();
    let told = shared.placing.tasks.choose(shared, request, waiting, shared.now_ms());
    for (session, at_ms) in &told {
        tracing::info!(%session, "an interruptible session makes way for a player");
        shared.metrics.preempted.add();
        shared.bus.publish(*session, SessionEvent::All(ToPage::Interruption { at_ms: *at_ms })).await;
    }
}

/// Ends the sessions whose notice is over.
pub(crate) async fn end_due(shared: &Shared) -> Result<(), StoreError> {
    for session in shared.placing.tasks.due(shared.now_ms()) {
        sessions::end(shared, session, EndReason::Preempted).await?;
    }
    Ok(())
}
