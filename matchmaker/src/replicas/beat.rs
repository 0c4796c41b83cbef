//! Counting up, and what follows from how the others count.

use super::{read_held, say, view::Due};
use crate::bus::words::Word;
use crate::state::{Phase, Shared};
use crate::store::{Replicas, StoreError};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// A database that does not answer a beat within this is away: a later beat finds out when it is back.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// The first beat: from then on this replica counts. One that is alone knows that nobody else does.
pub(crate) async fn join(shared: &Shared) -> Result<(), StoreError> {
    let asked = Instant::now();
    let Some(replicas) = shared.store.beat(shared.cluster.me, true).await? else { return Ok(()) };
    shared.clock.set(replicas.now_ms, asked);
    shared.cluster.observe(&replicas, Instant::now());
    if shared.cluster.alone {
        for (replica, beat) in replicas.beats.iter().filter(|(replica, _)| *replica != shared.cluster.me) {
            shared.store.bury(*replica, *beat).await?;
        }
        shared.cluster.forget_peers();
        // Nobody beats who would find out that their owner is no more: this process, before it was started again.
        for owned in replicas.regions.iter().filter(|owned| owned.owner != shared.cluster.me) {
            claim(shared, &owned.region, Some(owned.fence)).await?;
        }
    }
    read_held(shared).await
}

/// The last beat: the others take over at once, and need not find out.
pub(crate) async fn leave(shared: &Shared) {
    shared.cluster.cut.send_modify(|count| *count += 1);
    let me = shared.cluster.me;
    let last = async {
        let replicas = shared.store.beat(me, false).await?.unwrap_or_default();
        let beat = replicas.beats.iter().find(|(replica, _)| *replica == me).map(|(_, beat)| *beat);
        match beat {
            Some(beat) => shared.store.bury(me, beat).await,
            None => Ok(true),
        }
    };
    if let Err(error) = last.await {
        tracing::warn!(%error, "the other replicas are not told that this one stops; they find out");
    }
}

/// One beat.
pub(crate) async fn beat(shared: &Shared) -> Result<(), StoreError> {
    if shared.cluster.alone || *shared.phase.borrow() != Phase::Open {
        return Ok(());
    }
    let asked = Instant::now();
    let outcome = timeout(ANSWER_WITHIN, shared.store.beat(shared.cluster.me, false)).await;
    match outcome {
        Ok(Ok(Some(replicas))) => take_in(shared, &replicas, asked).await?,
        Ok(Ok(None)) => rejoin(shared).await?,
        Ok(Err(error)) => away(shared, &error.to_string()),
        Err(_) => away(shared, "no answer in time"),
    }
    say(shared, Word::Here { store: shared.cluster.store_answers() }).await;
    let now = Instant::now();
    let reachable = shared.cluster.reachable(now);
    let mut fleet = shared.fleet();
    for (replica, reached) in reachable {
        fleet.set_reachable(replica.raw(), reached);
    }
    Ok(())
}

async fn take_in(shared: &Shared, replicas: &Replicas, asked: Instant) -> Result<(), StoreError> {
    shared.clock.set(replicas.now_ms, asked);
    let Due { dead, regions } = shared.cluster.observe(replicas, Instant::now());
    for (replica, beat) in dead {
        if shared.store.bury(replica, beat).await? {
            tracing::warn!(%replica, "a replica is dead");
        }
    }
    for (region, fence) in regions {
        claim(shared, &region, Some(fence)).await?;
    }
    Ok(())
}

/// Takes a region over from nobody, or from an owner that is no more.
pub(super) async fn claim(shared: &Shared, region: &str, over: Option<u64>) -> Result<(), StoreError> {
    if let Some(fence) = shared.store.claim_region(region, shared.cluster.me, over).await? {
        tracing::info!(region, fence, "this replica leases in a region");
        // What the owner before leased last was perhaps not heard of.
        read_held(shared).await?;
        shared.cluster.own(region, fence);
    }
    Ok(())
}

/// Others took this replica for dead: its nodes may count as lost. They link again, by which they are found.
async fn rejoin(shared: &Shared) -> Result<(), StoreError> {
    tracing::warn!("this replica stood still for so long that others took it for dead");
    shared.cluster.cut.send_modify(|count| *count += 1);
    let asked = Instant::now();
    if let Some(replicas) = shared.store.beat(shared.cluster.me, true).await? {
        take_in(shared, &replicas, asked).await?;
    }
    Ok(())
}

fn away(shared: &Shared, why: &str) {
    if shared.cluster.store_answers() {
        tracing::error!(why, "the database is away; running sessions go on");
    }
    if shared.cluster.is_cut_off(Instant::now()) {
        tracing::warn!("other replicas reach the database: nodes are sent to them");
        shared.cluster.cut.send_modify(|count| *count += 1);
    }
}
