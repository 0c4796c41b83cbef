//! What happens without a request: lost nodes, sessions nobody came to, accounts to close, packs
//! that no save needs.
//!
//! Each job is idempotent: a run that fails half-way is made up by the next.

use crate::placing::{history, preempt, rules, warm};
use crate::state::{Phase, Shared, now_ms};
use crate::store::{SessionRow, StoreError};
use crate::{saves, sessions};
use nearframe_protocol::{EndReason, SessionState};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// Presence is looked at this often: a node is known to be lost within 3.25 s.
const PRESENCE_TICK: Duration = Duration::from_millis(250);
/// Waiting sessions are looked at this often.
const SESSION_TICK: Duration = Duration::from_secs(1);
/// Accounts are looked at this often; their window is a day.
const ACCOUNT_TICK: Duration = Duration::from_secs(60);
/// Assets are looked at this often; they are kept for an hour after their last use.
const ASSET_TICK: Duration = Duration::from_secs(60);

/// Rules are read this often: what one replica was told, the others obey within it.
const RULES_TICK: Duration = Duration::from_secs(2);
/// What was learnt of round trips is written, and what others learnt is read, this often.
const HISTORY_TICK: Duration = Duration::from_secs(15);
/// Interruptible sessions whose notice is over are looked for this often.
const PREEMPT_TICK: Duration = Duration::from_millis(500);

/// Starts all jobs; they stop when the service closes.
pub(crate) fn spawn(shared: &Arc<Shared>) -> JoinSet<()> {
    let mut jobs = JoinSet::new();
    jobs.spawn(every(Arc::clone(shared), PRESENCE_TICK, "presence", |shared| Box::pin(presence(shared))));
    jobs.spawn(every(Arc::clone(shared), SESSION_TICK, "waiting sessions", |shared| {
        Box::pin(waiting(shared))
    }));
    jobs.spawn(every(Arc::clone(shared), ACCOUNT_TICK, "accounts", |shared| Box::pin(accounts(shared))));
    jobs.spawn(every(Arc::clone(shared), ASSET_TICK, "assets", |shared| Box::pin(unneeded_assets(shared))));
    jobs.spawn(every(Arc::clone(shared), RULES_TICK, "rules", |shared| Box::pin(rules::refresh(shared))));
    jobs.spawn(every(Arc::clone(shared), HISTORY_TICK, "latency history", |shared| {
        Box::pin(history::exchange(shared))
    }));
    jobs.spawn(every(Arc::clone(shared), PREEMPT_TICK, "interruptible sessions", |shared| {
        Box::pin(preempt::end_due(shared))
    }));
    let warm = Duration::from_secs(warm::INTERVAL_S.into());
    jobs.spawn(every(Arc::clone(shared), warm, "warm titles", |shared| Box::pin(warm::tell(shared))));
    jobs
}

type Run<'a> = std::pin::Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'a>>;

async fn every(
    shared: Arc<Shared>,
    tick: Duration,
    name: &'static str,
    job: for<'a> fn(&'a Shared) -> Run<'a>,
) {
    let mut ticks = interval(tick);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                if let Err(error) = job(&shared).await {
                    tracing::error!(%error, job = name, "a job failed and will run again");
                }
            }
            () = shared.closed() => return,
        }
    }
}

/// Nodes that answered before a restart get time to call again.
pub(crate) async fn expect_nodes(shared: &Shared) -> Result<(), StoreError> {
    let until_ms = shared.uptime_ms() + u64::from(shared.config.restart_grace_s) * 1000;
    let active = shared.store.active_sessions().await?;
    for row in active {
        shared.fleet().expect(row.node, until_ms);
    }
    Ok(())
}

/// Ends the sessions of nodes that stayed silent.
async fn presence(shared: &Shared) -> Result<(), StoreError> {
    let lost = shared.fleet().take_lost(shared.uptime_ms());
    if lost.is_empty() {
        return Ok(());
    }
    for node in &lost {
        tracing::warn!(%node, "node lost");
        shared.placing.warmth.left(*node);
        shared.bus.forget_node(*node).await;
    }
    end_orphans(shared, &shared.store.active_sessions().await?).await
}

/// Ends sessions that never became live, and those whose node was lost while the store failed.
async fn waiting(shared: &Shared) -> Result<(), StoreError> {
    let patience_ms = shared.config.connect_timeout().as_millis() as u64;
    let active = shared.store.active_sessions().await?;
    end_orphans(shared, &active).await?;
    let now = now_ms();
    for row in active {
        let waited_ms = now.saturating_sub(row.created_at_ms);
        if row.state == SessionState::Starting && waited_ms > patience_ms {
            sessions::end(shared, row.id, EndReason::PlayerUnreachable).await?;
        }
    }
    Ok(())
}

async fn end_orphans(shared: &Shared, active: &[SessionRow]) -> Result<(), StoreError> {
    for row in active {
        let there = shared.fleet().member(row.node).is_some();
        if !there {
            sessions::end(shared, row.id, EndReason::NodeLost).await?;
        }
    }
    Ok(())
}

async fn unneeded_assets(shared: &Shared) -> Result<(), StoreError> {
    saves::remove_unreferenced(shared, now_ms()).await
}

async fn accounts(shared: &Shared) -> Result<(), StoreError> {
    if *shared.phase.borrow() == Phase::Closed {
        return Ok(());
    }
    shared.store.close_accounts(now_ms()).await.map(drop)
}
