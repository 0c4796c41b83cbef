//! Nodes that are lost and sessions that nobody plays, however their replicas fared.

use super::say_stage;
use super::view::Closing;
use crate::sessions;
use crate::state::Shared;
use crate::store::{StoreError, Stranded};
use nearframe_placement::{Home, Stage};
use nearframe_protocol::EndReason;
use std::time::Duration;
use tokio::time::Instant;

/// Lets go of nodes that were silent here for too long, in the store too as soon as it answers.
pub(crate) async fn lost_nodes(shared: &Shared) -> Result<(), StoreError> {
    let may_judge = shared.cluster.may_judge(Instant::now());
    let lost = if may_judge { shared.fleet().take_lost(shared.uptime_ms()) } else { Vec::new() };
    for (node, link) in &lost {
        tracing::warn!(%node, "node lost");
        shared.placing.warmth.left(*node);
        shared.bus.forget_node(*node, *link).await;
        say_stage(shared, *node, *link, Stage::Lost).await;
    }
    // Where the store is away as well, it may be this replica's own network that is gone: a word to the store would then
    // wait, and be taken once it is back, before the node that never stopped is heard again.
    let is_deferred = !shared.cluster.store_answers();
    let closing = |(node, link)| Closing { node, link, is_deferred };
    shared.cluster.add_closing(lost.into_iter().map(closing));
    let patience = Duration::from_secs(shared.config.restart_grace_s.into());
    let mut closing = shared.cluster.take_closing(Instant::now(), patience);
    let mut any = false;
    while let Some(Closing { node, link, .. }) = closing.pop() {
        match shared.store.close_link(node, link).await {
            // A newer link elsewhere keeps the node.
            Ok(closed) => any |= closed,
            Err(error) => {
                shared.cluster.note_store(false, Instant::now());
                closing.push(Closing { node, link, is_deferred: true });
                shared.cluster.add_closing(closing.into_iter().map(|it| Closing { is_deferred: true, ..it }));
                return Err(error);
            }
        }
    }
    if any { orphans(shared).await } else { Ok(()) }
}

/// Ends the sessions of nodes that the store knows to be lost.
async fn orphans(shared: &Shared) -> Result<(), StoreError> {
    for row in shared.store.orphaned_sessions().await? {
        sessions::end(shared, row.id, EndReason::NodeLost).await?;
    }
    Ok(())
}

/// Gives up nodes whose replica is dead and that did not link to another one for too long.
pub(crate) async fn stranded(shared: &Shared) -> Result<(), StoreError> {
    let all = shared.store.stranded().await;
    shared.cluster.note_store(all.is_ok(), Instant::now());
    let all = all?;
    let patience = Duration::from_secs(shared.config.restart_grace_s.into());
    for stranded in shared.cluster.stranded_for(Instant::now(), patience, &all) {
        if shared.store.close_link(stranded.node, stranded.link).await? {
            tracing::warn!(node = %stranded.node, "node lost: it did not come back after its server was");
        }
    }
    orphans(shared).await
}

/// Gives up nodes whose link the store has for this replica's, and that are not linked to it: a hello that broke off.
pub(crate) async fn unserved(shared: &Shared) -> Result<(), StoreError> {
    let mut all = shared.store.links_of(shared.cluster.me).await?;
    {
        let fleet = shared.fleet();
        let serves = |it: &Stranded| {
            fleet.member(it.node).is_some_and(|member| member.home == Home::Here && member.link() == it.link)
        };
        all.retain(|it| !serves(it));
    }
    let patience = Duration::from_secs(shared.config.restart_grace_s.into());
    for it in shared.cluster.unserved_for(Instant::now(), patience, &all) {
        shared.store.close_link(it.node, it.link).await?;
    }
    Ok(())
}

/// Ends sessions that never became live. How long they waited is watched, not computed from clocks.
pub(crate) async fn waiting(shared: &Shared) -> Result<(), StoreError> {
    let starting: Vec<_> = shared.store.starting_sessions().await?.iter().map(|row| row.id).collect();
    let patience = shared.config.connect_timeout();
    for session in shared.cluster.starting_for(Instant::now(), patience, &starting) {
        sessions::end(shared, session, EndReason::PlayerUnreachable).await?;
    }
    Ok(())
}
