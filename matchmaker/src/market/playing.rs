//! Sessions on reserved machines: those of the account that reserved them, of the title that it said.

use crate::http::problem::Problem;
use crate::placing::Asker;
use crate::prices;
use crate::replicas;
use crate::state::Shared;
use crate::store::accounts::Holding;
use crate::store::market::{MachineRow, MachineState};
use crate::store::{AccountStore, Created, NewSession};
use nearframe_placement::Request;
use nearframe_protocol::link::ToNode;
use nearframe_protocol::{AccountId, EndReason, NodeId};

/// Leases a slot that stands by for whoever pays for the session; `None`: there is none.
pub(crate) async fn lease(
    shared: &Shared,
    new: &NewSession,
    request: &Request,
    asker: &Asker,
) -> Result<Option<Created>, Problem> {
    let rows = shared.market.running_for(&new.title);
    if rows.is_empty() || request.needs.batch {
        return Ok(None);
    }
    let Some(account) = account(shared, new).await? else { return Ok(None) };
    for row in rows.iter().filter(|row| row.account == account) {
        let mut machines = shared.store.machines(row.id).await?;
        machines.retain(|machine| is_free(machine) && shared.fleet().could_take_at(request, machine.node));
        machines.sort_by_key(|machine| (rtt_us(asker, machine.node), machine.place));
        for machine in machines {
            let mut new = NewSession { node: machine.node, reservation: Some(row.id), ..new.clone() };
            prices::settle(shared, &mut new).await?;
            let price = u64::try_from(new.tariff.price_micros_per_hour).unwrap_or(u64::MAX);
            if request.needs.price_ceiling_micros_per_hour.is_some_and(|ceiling| price > ceiling) {
                continue;
            }
            let region = shared.fleet().region_of(machine.node).to_owned();
            let created = replicas::commit(shared, &new, &region).await?;
            match (&created, machine.runs) {
                (Created::NoCapacity, _) => continue,
                (Created::New(row), Some((session, true))) => {
                    tracing::info!(session = %row.id, node = %row.node, "a session plays on a reserved slot");
                    // A node that is not told now hears of it with its next heartbeat.
                    let stop = ToNode::Stop { session, reason: EndReason::Preempted, limit: None };
                    let _ = shared.bus.command(machine.node, stop).await;
                }
                _ => {}
            }
            return Ok(Some(created));
        }
    }
    Ok(None)
}

/// Who pays: the account of the key, or the one whose title it is.
async fn account(shared: &Shared, new: &NewSession) -> Result<Option<AccountId>, Problem> {
    let store: &dyn AccountStore = &*shared.store;
    match new.payer {
        Some(payer) => Ok(Some(payer.account)),
        None => Ok(store.owner(&Holding::Title(new.title.clone())).await?),
    }
}

fn is_free(machine: &MachineRow) -> bool {
    machine.state == MachineState::Held && machine.runs.is_none_or(|(_, stands_by)| stands_by)
}

fn rtt_us(asker: &Asker, node: NodeId) -> u32 {
    asker.measured.iter().find(|(measured, _)| *measured == node).map_or(u32::MAX, |(_, rtt_us)| *rtt_us)
}
