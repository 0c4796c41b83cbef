//! What happens without a request: beats and words of replicas, lost nodes, sessions nobody came to, accounts to
//! close, packs that no save needs.
//!
//! Each job is idempotent: a run that fails half-way is made up by the next.

use crate::http::repeat;
use crate::placing::{history, plan, preempt, rules, warm};
use crate::state::{Phase, Shared};
use crate::store::StoreError;
use crate::{general, market, months, payouts, prices, replicas, saves, settlement, stakes, trust, webhooks};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// Presence is looked at this often: a node is known to be lost within 3.25 s.
const PRESENCE_TICK: Duration = Duration::from_millis(250);
/// Waiting sessions are looked at this often.
const SESSION_TICK: Duration = Duration::from_secs(1);
/// Links that the store has for ours are compared with those that we have this often.
const LINK_TICK: Duration = Duration::from_secs(2);
/// Accounts are looked at this often; their window is a day.
const ACCOUNT_TICK: Duration = Duration::from_secs(60);
/// Months of subscriptions that are over are looked for this often.
const SUBSCRIPTION_TICK: Duration = Duration::from_secs(30);
/// Answers under idempotency keys are looked at this often; they are kept for a day.
const ANSWER_TICK: Duration = Duration::from_secs(600);
/// Assets are looked at this often; they are kept for an hour after their last use.
const ASSET_TICK: Duration = Duration::from_secs(60);

/// Old events, and months that ended, are looked for this often.
const EVENT_TICK: Duration = Duration::from_secs(300);

/// Whether a day is to be settled is looked at this often.
const SETTLEMENT_TICK: Duration = Duration::from_secs(600);

/// What witnesses said is judged this often.
const TRUST_TICK: Duration = Duration::from_secs(900);

/// The general ledger is brought up to date this often.
const LEDGER_TICK: Duration = Duration::from_secs(5);
/// Rules and prices are read this often: what one replica was told, the others obey within it.
const RULES_TICK: Duration = Duration::from_secs(2);
/// What was learnt of round trips is written, and what others learnt is read, this often.
const HISTORY_TICK: Duration = Duration::from_secs(15);
/// Interruptible sessions whose notice is over are looked for this often.
const PREEMPT_TICK: Duration = Duration::from_millis(500);
/// The assignment of a full house is solved this often.
const PLAN_TICK: Duration = Duration::from_secs(2);

/// Auctions and reservations are looked at this often: what ends, ends that much later at most.
const MARKET_TICK: Duration = Duration::from_millis(500);

/// Starts all jobs; they stop when the service closes.
pub(crate) fn spawn(shared: &Arc<Shared>) -> JoinSet<()> {
    let mut jobs = JoinSet::new();
    jobs.spawn(replicas::listen(Arc::clone(shared)));
    jobs.spawn(replicas::answer_questions(Arc::clone(shared)));
    jobs.spawn(every(Arc::clone(shared), replicas::BEAT, "beat", |shared| Box::pin(replicas::beat(shared))));
    jobs.spawn(every(Arc::clone(shared), PRESENCE_TICK, "presence", |shared| {
        Box::pin(replicas::lost_nodes(shared))
    }));
    jobs.spawn(every(Arc::clone(shared), SESSION_TICK, "stranded nodes", |shared| {
        Box::pin(replicas::stranded(shared))
    }));
    jobs.spawn(every(Arc::clone(shared), LINK_TICK, "unserved links", |shared| {
        Box::pin(replicas::unserved(shared))
    }));
    jobs.spawn(every(Arc::clone(shared), SESSION_TICK, "waiting sessions", |shared| {
        Box::pin(replicas::waiting(shared))
    }));
    jobs.spawn(every(Arc::clone(shared), ACCOUNT_TICK, "accounts", |shared| Box::pin(accounts(shared))));
    jobs.spawn(every(Arc::clone(shared), SUBSCRIPTION_TICK, "subscriptions", |shared| {
        Box::pin(subscriptions(shared))
    }));
    jobs.spawn(every(Arc::clone(shared), ANSWER_TICK, "answers", |shared| Box::pin(old_answers(shared))));
    jobs.spawn(webhooks::run(Arc::clone(shared)));
    jobs.spawn(every(Arc::clone(shared), EVENT_TICK, "old events", |shared| Box::pin(old_events(shared))));
    jobs.spawn(every(Arc::clone(shared), EVENT_TICK, "statements", |shared| {
        Box::pin(webhooks::statements(shared))
    }));
    jobs.spawn(every(Arc::clone(shared), ASSET_TICK, "assets", |shared| Box::pin(unneeded_assets(shared))));
    jobs.spawn(every(Arc::clone(shared), SETTLEMENT_TICK, "settlement", |shared| Box::pin(settle(shared))));
    jobs.spawn(every(Arc::clone(shared), ACCOUNT_TICK, "payouts", |shared| Box::pin(open_payouts(shared))));
    jobs.spawn(every(Arc::clone(shared), TRUST_TICK, "trust", |shared| Box::pin(trust::look(shared))));
    jobs.spawn(every(Arc::clone(shared), TRUST_TICK, "leaving", |shared| Box::pin(stakes::look(shared))));
    jobs.spawn(every(Arc::clone(shared), ACCOUNT_TICK, "stakes", |shared| Box::pin(stakes::tick(shared))));
    jobs.spawn(every(Arc::clone(shared), stakes::TICK, "reach", |shared| Box::pin(stakes::note(shared))));
    jobs.spawn(every(Arc::clone(shared), SETTLEMENT_TICK, "service levels", |shared| {
        Box::pin(months::close_due(shared))
    }));
    jobs.spawn(every(Arc::clone(shared), LEDGER_TICK, "general ledger", |shared| {
        Box::pin(general::post(shared))
    }));
    jobs.spawn(every(Arc::clone(shared), RULES_TICK, "rules", |shared| Box::pin(rules::refresh(shared))));
    jobs.spawn(every(Arc::clone(shared), RULES_TICK, "prices", |shared| Box::pin(prices::refresh(shared))));
    jobs.spawn(every(Arc::clone(shared), HISTORY_TICK, "latency history", |shared| {
        Box::pin(history::exchange(shared))
    }));
    jobs.spawn(every(Arc::clone(shared), PREEMPT_TICK, "interruptible sessions", |shared| {
        Box::pin(preempt::end_due(shared))
    }));
    jobs.spawn(every(Arc::clone(shared), MARKET_TICK, "market", |shared| Box::pin(market::tick(shared))));
    jobs.spawn(every(Arc::clone(shared), PLAN_TICK, "plan", |shared| Box::pin(plan::tick(shared))));
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
                // A job that waits for a database that is away must not hold up the end.
                let done = tokio::select! {
                    done = job(&shared) => done,
                    () = shared.closed() => return,
                };
                if let Err(error) = done {
                    tracing::error!(%error, job = name, "a job failed and will run again");
                }
            }
            () = shared.closed() => return,
        }
    }
}

async fn unneeded_assets(shared: &Shared) -> Result<(), StoreError> {
    saves::remove_unreferenced(shared, shared.now_ms()).await
}

async fn old_answers(shared: &Shared) -> Result<(), StoreError> {
    shared.store.forget_answers(shared.now_ms().saturating_sub(repeat::KEPT_MS)).await
}

async fn old_events(shared: &Shared) -> Result<(), StoreError> {
    shared.store.forget_events(shared.now_ms().saturating_sub(webhooks::KEPT_MS)).await
}

async fn accounts(shared: &Shared) -> Result<(), StoreError> {
    if *shared.phase.borrow() == Phase::Closed {
        return Ok(());
    }
    shared.store.close_accounts(shared.now_ms()).await.map(drop)
}

async fn subscriptions(shared: &Shared) -> Result<(), StoreError> {
    shared.store.renew_subscriptions(shared.now_ms()).await.map(drop)
}

/// After a crash, what was begun is brought to what the ledger says.
async fn open_payouts(shared: &Shared) -> Result<(), StoreError> {
    let _alone = shared.paying.lock().await;
    match payouts::reconcile(shared).await {
        Ok(()) | Err(payouts::PayError::NoLedger) => Ok(()),
        Err(payouts::PayError::Store(error)) => Err(error),
        Err(error) => {
            tracing::error!(%error, "payouts cannot be compared with the ledger");
            Ok(())
        }
    }
}

async fn settle(shared: &Shared) -> Result<(), StoreError> {
    if *shared.phase.borrow() == Phase::Closed {
        return Ok(());
    }
    settlement::settle(shared, shared.now_ms()).await.map(drop)
}
