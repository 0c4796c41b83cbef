//! Auctions and reservations: machines are called to bid, the cheapest stand by, and sessions of whoever reserved them
//! take their slots.
//!
//! Who wins is `nearframe-ledger`'s to say, and what is set aside, held and paid is the store's; here time passes. All of
//! it can be repeated: whichever replica looks next goes on from what the store has.

mod bidding;
pub(crate) mod playing;
pub(crate) mod reserving;
mod tending;

use crate::state::{Phase, Shared};
use crate::store::StoreError;
use crate::store::market::ReservationRow;
pub(crate) use bidding::{opened, sealed};
use nearframe_protocol::market::ReservationState;
use nearframe_protocol::receipt::SignedReceipt;
use nearframe_protocol::{AuctionId, NodeId, TitleId};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The replica of this name looks after what is booked.
const KEEPER: &str = "market";

/// What is known here beside the store.
#[derive(Debug, Default)]
pub(crate) struct Market(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Nodes that bid and stand by.
    able: BTreeSet<NodeId>,
    /// Who was called to which auction.
    called: BTreeSet<(AuctionId, NodeId)>,
    /// Reservations whose machines stand by now.
    running: Vec<ReservationRow>,
}

impl Market {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node linked here, and whether it bids and stands by. It is called anew: what came before may be lost.
    pub(crate) fn joined(&self, node: NodeId, able: bool) {
        let mut inner = self.lock();
        inner.called.retain(|(_, called)| *called != node);
        if able {
            inner.able.insert(node);
        } else {
            inner.able.remove(&node);
        }
    }

    fn is_called(&self, auction: AuctionId, node: NodeId) -> bool {
        self.lock().called.contains(&(auction, node))
    }

    fn running_for(&self, title: &TitleId) -> Vec<ReservationRow> {
        self.lock().running.iter().filter(|row| row.title == *title).cloned().collect()
    }
}

/// Looks at everything that is bidden for or booked.
pub(crate) async fn tick(shared: &Shared) -> Result<(), StoreError> {
    let phase = *shared.phase.borrow();
    if phase == Phase::Closed {
        return Ok(());
    }
    let rows = shared.store.reservations_alive().await?;
    let now_ms = shared.now_ms();
    let is_keeper = shared.cluster.keeper(KEEPER) == shared.cluster.me;
    {
        let mut inner = shared.market.lock();
        inner.called.retain(|(auction, _)| rows.iter().any(|row| row.auction.wanted.auction == *auction));
        inner.running = rows.iter().filter(|row| row.runs_at(now_ms)).cloned().collect();
    }
    for row in &rows {
        match row.state {
            ReservationState::Bidding => bidding::go_on(shared, row, now_ms, is_keeper).await?,
            ReservationState::Booked if is_keeper && row.auction.wanted.from_ms <= now_ms => {
                tending::tend(shared, row, now_ms, phase == Phase::Open).await?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// A receipt with our signature, where it states that a slot stood by: the node it came from is the one that is linked,
/// and its slot is kept by the lease. All else about it is checked as of any receipt, first that no more time is claimed
/// than the lease lasted, which ends when the link does.
pub(crate) async fn witness(
    shared: &Shared,
    node: NodeId,
    signed: SignedReceipt,
) -> Result<SignedReceipt, StoreError> {
    let receipt = &signed.receipt;
    let says_time_alone =
        (receipt.frames, receipt.bytes, receipt.encoder_us, receipt.packets_sent) == (0, 0, 0, 0);
    if !says_time_alone || signed.player_signature.is_some() {
        return Ok(signed);
    }
    let row = shared.store.session(receipt.session).await?;
    if !row.is_some_and(|row| row.stands_by && row.node == node) {
        return Ok(signed);
    }
    let signature = shared.witness.sign(&receipt.signed_bytes());
    Ok(SignedReceipt { player_signature: Some(signature), ..signed })
}
