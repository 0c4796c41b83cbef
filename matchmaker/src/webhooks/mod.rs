//! Webhooks: events that wait in the store are brought to whoever wants to know of them.
//!
//! Events are written by the store with what they tell of; here they are carried, by whichever replica claims them. A
//! claim ends by itself, so that a delivery whose replica died is made by another: every event arrives at least once
//! where it arrives at all, and under the same id.
//!
//! **Architecture invariant:** what an account names as its address is reached only over TLS and only where it is public,
//! unless the operator said otherwise; redirects are not followed.

mod events;
mod post;
mod schedule;
mod signature;
mod target;

pub(crate) use events::{hour_refused, refused, statements, test};
pub(crate) use post::Post;
pub(crate) use signature::text as secret_text;
pub(crate) use target::check;

use crate::random;
use crate::state::Shared;
use crate::store::StoreError;
use crate::store::webhooks::{DeliveryClaim, Due, Next, Settled, WebhookRow};
use async_trait::async_trait;
use nearframe_protocol::webhook::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// Deliveries are looked for this often, and whenever one ended.
const TICK: Duration = Duration::from_millis(500);
/// Deliveries that one replica makes at once: each waits for a stranger's server.
const AT_ONCE: usize = 32;
/// A claim holds this long, in ms: well above the longest try.
const CLAIM_MS: u64 = 60_000;
/// Old secrets sign along for this long after a new one was made, in ms.
pub(crate) const OLD_SECRET_MS: u64 = 24 * 3600 * 1000;
/// Events are kept for this long, in ms: ten times as long as they are tried.
pub(crate) const KEPT_MS: u64 = 30 * 24 * 3600 * 1000;

/// A delivery as it goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) url: String,
    pub(crate) headers: [(&'static str, String); 3],
    pub(crate) body: String,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Carried {
    /// An answer.
    Answered {
        /// HTTP status.
        status: u16,
        /// What `Retry-After` asks for.
        retry_after_s: Option<u64>,
    },
    /// None, and why.
    Failed(String),
}

/// Who carries letters: [`Post`], or a stand-in of a test.
#[async_trait]
pub(crate) trait Courier: Send + Sync {
    async fn carry(&self, letter: Letter) -> Carried;
}

/// Carries what is due until the service closes.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut under_way: JoinSet<()> = JoinSet::new();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            Some(_) = under_way.join_next() => {}
            // What is under way is cut off; its claims end by themselves.
            () = shared.closed() => return,
        }
        while under_way.try_join_next().is_some() {}
        let free = AT_ONCE - under_way.len();
        let claimed = tokio::select! {
            claimed = claim(&shared, free) => claimed,
            () = shared.closed() => return,
        };
        match claimed {
            Ok((claim, dues)) => {
                for due in dues {
                    let shared = Arc::clone(&shared);
                    under_way.spawn(async move { attempt(&shared, &shared.post, due, claim).await });
                }
            }
            Err(error) => tracing::error!(%error, "deliveries could not be claimed and will be later"),
        }
    }
}

async fn claim(shared: &Shared, most: usize) -> Result<([u8; 16], Vec<Due>), StoreError> {
    let now_ms = shared.now_ms();
    let claim = DeliveryClaim { claim: random::bytes(), now_ms, until_ms: now_ms + CLAIM_MS };
    let dues = shared.store.claim_deliveries(&claim, u32::try_from(most).unwrap_or(u32::MAX)).await?;
    Ok((claim.claim, dues))
}

/// Tries once, and writes down how it ended.
async fn attempt(shared: &Shared, courier: &dyn Courier, due: Due, claim: [u8; 16]) {
    let carried = courier.carry(letter(shared, &due)).await;
    let at_ms = shared.now_ms();
    let dice = u64::from_le_bytes(random::bytes());
    let (next, trouble) = schedule::next(&carried, due.tries + 1, at_ms, dice);
    let status = match carried {
        Carried::Answered { status, .. } => Some(status),
        Carried::Failed(_) => None,
    };
    shared.metrics.webhook_tried(&next);
    if let Next::Dead | Next::Gone = next {
        let (webhook, event) = (due.webhook.id, due.event.id);
        tracing::warn!(%webhook, %event, ?status, ?trouble, "an event is not delivered");
    }
    let (webhook, event) = (due.webhook.id, due.event.id);
    let settled = Settled { claim, webhook, event, at_ms, status, trouble, next };
    match shared.store.settle_delivery(&settled).await {
        Ok(true) => {}
        Ok(false) => tracing::warn!(%webhook, %event, "a delivery took longer than its claim"),
        Err(error) => tracing::error!(%error, %webhook, %event, "a delivery is made again"),
    }
}

fn letter(shared: &Shared, due: &Due) -> Letter {
    let now_ms = shared.now_ms();
    let (id, timestamp) = (due.event.id.to_string(), (now_ms / 1000).to_string());
    let signatures = secrets(shared, &due.webhook, now_ms)
        .map(|secret| signature::sign(&secret, &id, &timestamp, &due.event.body))
        .collect::<Vec<_>>()
        .join(" ");
    Letter {
        url: due.webhook.url.clone(),
        headers: [(ID_HEADER, id), (TIMESTAMP_HEADER, timestamp), (SIGNATURE_HEADER, signatures)],
        body: due.event.body.clone(),
    }
}

/// The secrets that count: the newest, and for a while the one before.
fn secrets(shared: &Shared, webhook: &WebhookRow, now_ms: u64) -> impl Iterator<Item = [u8; 32]> {
    let newest = webhook.secret_number;
    let old = webhook.old_secret_until_ms.filter(|until| *until > now_ms).and_then(|_| newest.checked_sub(1));
    let (newest, old) = (
        shared.webhook_secret(webhook.id, newest),
        old.map(|number| shared.webhook_secret(webhook.id, number)),
    );
    std::iter::once(newest).chain(old)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
