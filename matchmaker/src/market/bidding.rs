//! An auction while it runs: nodes are called, their seals kept, then opened, then it is closed.

use super::Market;
use crate::state::Shared;
use crate::store::StoreError;
use crate::store::market::ReservationRow;
use nearframe_ledger::rates::{GPU_TIERS, covers};
use nearframe_placement::{Fleet, Stage};
use nearframe_protocol::auction::{Call, OpenBid, SealedBid};
use nearframe_protocol::link::ToNode;
use nearframe_protocol::market::ReservationState;
use nearframe_protocol::{Money, NodeId};

/// Does what it is time for.
pub(super) async fn go_on(
    shared: &Shared,
    row: &ReservationRow,
    now_ms: u64,
    is_keeper: bool,
) -> Result<(), StoreError> {
    let wanted = &row.auction.wanted;
    if now_ms <= wanted.seal_until_ms {
        call(shared, row).await;
    } else if now_ms <= wanted.open_until_ms {
        if is_keeper {
            reveal(shared, row).await?;
        }
    } else if is_keeper {
        close(shared, row, now_ms).await?;
    }
    Ok(())
}

/// Whether a machine may bid: it is there, holds the title, and is what is wanted.
pub(super) fn is_eligible(fleet: &Fleet, node: NodeId, row: &ReservationRow) -> bool {
    let wanted = &row.auction.wanted;
    let Some(member) = fleet.member(node).filter(|member| member.stage == Stage::Linked) else {
        return false;
    };
    let tier = member.offer.as_ref().map_or(0, |offer| offer.terms.gpu_tier.min(GPU_TIERS));
    let order = fleet.order_of(node);
    fleet.is_online(node)
        && !order.banned
        && !order.drained
        && member.title(&row.title).is_some()
        && tier >= wanted.gpu_tier
        && covers(&wanted.region, fleet.region_of(node))
}

/// Calls the nodes that are linked here and were not called yet.
async fn call(shared: &Shared, row: &ReservationRow) {
    let wanted = &row.auction.wanted;
    let card = shared.prices.card();
    let calls: Vec<(NodeId, Call)> = {
        let fleet = shared.fleet();
        let inner = shared.market.lock();
        let wants = |node: &NodeId| {
            inner.able.contains(node)
                && !inner.called.contains(&(wanted.auction, *node))
                && is_eligible(&fleet, *node, row)
        };
        let nodes = fleet.linked_here(None).map(|(node, _)| node).filter(wants);
        let call = |node: NodeId| {
            let member = fleet.member(node).and_then(|member| member.offer.as_ref());
            let tier = member.map_or(0, |offer| offer.terms.gpu_tier.min(GPU_TIERS));
            let listed = card.card.price_micros_per_hour(wanted.work, fleet.region_of(node), tier);
            let money =
                |micros: i64| Money { amount_micros: micros.into(), currency: wanted.currency.clone() };
            let call = Call {
                auction: wanted.auction,
                node,
                work: wanted.work,
                from_ms: wanted.from_ms,
                until_ms: wanted.until_ms,
                machines: wanted.machines,
                ceiling: money(wanted.ceiling_micros_per_hour),
                listed: money(listed),
                seal_until_ms: wanted.seal_until_ms,
                seed_hash: wanted.seed_hash,
            };
            (node, call)
        };
        nodes.map(call).collect()
    };
    for (node, call) in calls {
        // Before it is told: its seal may come at once.
        shared.market.note_called(&call);
        let auction = call.auction;
        if shared.bus.command(node, ToNode::Auction { call: Box::new(call) }).await.is_err() {
            shared.market.lock().called.remove(&(auction, node));
        }
    }
}

impl Market {
    fn note_called(&self, call: &Call) {
        self.lock().called.insert((call.auction, call.node));
    }
}

/// Asks those who sealed and have not opened yet, again and again: a link may break meanwhile.
async fn reveal(shared: &Shared, row: &ReservationRow) -> Result<(), StoreError> {
    let auction = row.auction.wanted.auction;
    for entry in shared.store.bids(auction).await?.iter().filter(|entry| entry.opened.is_none()) {
        // One that is not reached is out.
        let _ = shared.bus.command(entry.node, ToNode::Reveal { auction }).await;
    }
    Ok(())
}

async fn close(shared: &Shared, row: &ReservationRow, now_ms: u64) -> Result<(), StoreError> {
    let Some(closed) = shared.store.close_auction(row.id, now_ms).await? else { return Ok(()) };
    let machines = closed.auction.wanted.machines;
    match closed.auction.price_micros {
        Some(price_micros) => {
            tracing::info!(reservation = %row.id, machines, price_micros, "machines are booked");
        }
        None if closed.state == ReservationState::Failed => {
            tracing::info!(reservation = %row.id, machines, "too few machines bid");
        }
        None => {}
    }
    Ok(())
}

/// A node seals a bid. What it was not called for, or did not sign, is left aside.
pub(crate) async fn sealed(shared: &Shared, node: NodeId, sealed: &SealedBid) -> Result<(), StoreError> {
    if !shared.market.is_called(sealed.auction, node) {
        tracing::warn!(%node, auction = %sealed.auction, "a bid that nobody called for");
        return Ok(());
    }
    let key = shared.store.node_key(node).await?;
    if key.is_none_or(|key| sealed.verify(&key, node).is_err()) {
        tracing::warn!(%node, auction = %sealed.auction, "a bid that its node did not sign");
        return Ok(());
    }
    if !shared.store.seal_bid(node, sealed, shared.now_ms()).await? {
        tracing::info!(%node, auction = %sealed.auction, "a bid came too late, or is the second");
    }
    Ok(())
}

/// A node opens what it sealed.
pub(crate) async fn opened(shared: &Shared, node: NodeId, open: &OpenBid) -> Result<(), StoreError> {
    let is_its_own = open.bid.node == node;
    if !is_its_own || !shared.store.open_bid(node, open, shared.now_ms()).await? {
        tracing::info!(%node, auction = %open.bid.auction, "what was opened was not sealed, or came too late");
    }
    Ok(())
}
