//! What happens without a request: lost nodes, sessions nobody came to, accounts to close, packs
//! that no save needs.
//!
//! Each job is idempotent: a run that fails half-way is made up by the next.

use crate::state::{Phase, Shared, now_ms};
use crate::store::{SessionRow, StoreError};
use crate::{general, saves, sessions, settlement};
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

/// Whether a day is to be settled is looked at this often.
const SETTLEMENT_TICK: Duration = Duration::from_secs(600);

/// The general ledger is brought up to date this often.
const LEDGER_TICK: Duration = Duration::from_secs(5);

/// Starts all jobs; they stop when the service closes.
pub(crate) fn spawn(shared: &Arc<Shared>) -> JoinSet<()> {
    let mut jobs = JoinSet::new();
    jobs.spawn(every(Arc::clone(shared), PRESENCE_TICK, "presence", |shared| Box::pin(presence(shared))));
    jobs.spawn(every(Arc::clone(shared), SESSION_TICK, "waiting sessions", |shared| {
        Box::pin(waiting(shared))
    }));
    jobs.spawn(every(Arc::clone(shared), ACCOUNT_TICK, "accounts", |shared| Box::pin(accounts(shared))));
    jobs.spawn(every(Arc::clone(shared), ASSET_TICK, "assets", |shared| Box::pin(unneeded_assets(shared))));
    jobs.spawn(every(Arc::clone(shared), SETTLEMENT_TICK, "settlement", |shared| Box::pin(settle(shared))));
    jobs.spawn(every(Arc::clone(shared), LEDGER_TICK, "general ledger", |shared| {
        Box::pin(general::post(shared))
    }));
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

async fn settle(shared: &Shared) -> Result<(), StoreError> {
    if *shared.phase.borrow() == Phase::Closed {
        return Ok(());
    }
    settlement::settle(shared, now_ms()).await.map(drop)
}
