//! A reservation while it runs: as many machines stand by as were booked, one that goes makes room for the next, and when
//! the time is over all of them are let go.

use super::bidding::is_eligible;
use crate::random;
use crate::replicas;
use crate::sessions;
use crate::state::Shared;
use crate::store::StoreError;
use crate::store::market::{MachineRow, MachineState, NewStandBy, ReservationRow, Stood};
use nearframe_ledger::rates::GPU_TIERS;
use nearframe_protocol::EndReason;

/// Brings a reservation to where it should be now.
pub(super) async fn tend(
    shared: &Shared,
    row: &ReservationRow,
    now_ms: u64,
    opens: bool,
) -> Result<(), StoreError> {
    let machines = shared.store.machines(row.id).await?;
    if now_ms >= row.until_ms() {
        return end(shared, row, &machines, now_ms).await;
    }
    let mut kept = 0;
    for machine in machines.iter().filter(|machine| machine.state == MachineState::Held) {
        if machine.runs.is_some() {
            kept += 1;
        } else if is_there(shared, row, machine) {
            kept += u32::from(opens && stand_by(shared, row, machine, now_ms).await?);
        } else {
            let_go(shared, row, machine, true).await?;
        }
    }
    let waiting = machines.iter().filter(|machine| machine.state == MachineState::Waiting);
    for machine in waiting {
        if kept >= row.auction.wanted.machines || !opens {
            break;
        }
        if is_there(shared, row, machine) {
            kept += u32::from(stand_by(shared, row, machine, now_ms).await?);
        }
    }
    Ok(())
}

fn is_there(shared: &Shared, row: &ReservationRow, machine: &MachineRow) -> bool {
    is_eligible(&shared.fleet(), machine.node, row)
}

/// Lets a machine stand by; whether it does.
async fn stand_by(
    shared: &Shared,
    row: &ReservationRow,
    machine: &MachineRow,
    now_ms: u64,
) -> Result<bool, StoreError> {
    let new = {
        let fleet = shared.fleet();
        let Some(member) = fleet.member(machine.node) else { return Ok(false) };
        let Some(title) = member.title(&row.title) else { return Ok(false) };
        NewStandBy {
            reservation: row.id,
            node: machine.node,
            title_hash: title.entry.hash,
            region: fleet.region_of(machine.node).to_owned(),
            gpu_tier: member.offer.as_ref().map_or(0, |offer| offer.terms.gpu_tier.min(GPU_TIERS)),
            session: random::session_id(),
            lease: random::lease_id(),
            witness: shared.witness.public(),
            now_ms,
        }
    };
    match shared.store.stand_by(&new).await? {
        Stood::New(stood) => {
            tracing::info!(reservation = %row.id, node = %stood.node, session = %stood.id, "a slot stands by");
            replicas::say_held(shared, stood.node_slots).await;
            let command = sessions::start_command(shared, &stood).await?;
            // A node that is not reached now says with its next heartbeat that it does not run this, and is told again.
            let _ = shared.bus.command(stood.node, command).await;
            Ok(true)
        }
        Stood::Already => Ok(true),
        Stood::Full | Stood::NoMoney => Ok(false),
    }
}

async fn let_go(
    shared: &Shared,
    row: &ReservationRow,
    machine: &MachineRow,
    gone: bool,
) -> Result<(), StoreError> {
    if let Some(slots) = shared.store.let_go(row.id, machine.node, gone).await? {
        tracing::info!(reservation = %row.id, node = %machine.node, gone, "a reserved slot is free");
        replicas::say_held(shared, slots).await;
    }
    Ok(())
}

/// The time is over: nothing stands by any more. What plays goes on, and keeps its slot.
async fn end(
    shared: &Shared,
    row: &ReservationRow,
    machines: &[MachineRow],
    now_ms: u64,
) -> Result<(), StoreError> {
    for machine in machines {
        if let Some((session, true)) = machine.runs {
            sessions::end_at(shared, session, EndReason::PlayerLeft, row.until_ms()).await?;
        }
        if matches!(machine.state, MachineState::Held | MachineState::Waiting) {
            let_go(shared, row, machine, false).await?;
        }
    }
    if shared.store.finish_reservation(row.id, now_ms).await? {
        tracing::info!(reservation = %row.id, "a reservation is over");
    }
    Ok(())
}
