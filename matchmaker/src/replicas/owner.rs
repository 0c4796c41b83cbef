//! Leases are written by the owner of the node's region: it knows first which slots are free, and shows its fencing
//! number in the transaction.

use super::beat::claim;
use super::say_held;
use super::view::Owner;
use crate::bus::words::{Answer, Question};
use crate::http::problem::{Code, Problem};
use crate::state::Shared;
use crate::store::{Created, NewSession, StoreError};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// A request waits this long for a region whose owner is gone: takeover is over by then.
const OWNER_WITHIN: Duration = Duration::from_secs(7);
/// How long to wait for news about the owner before it is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(250);

/// Has the lease written, wherever its region's owner is. Repeating it is harmless: the session's id is the same.
pub(crate) async fn commit(shared: &Shared, new: &NewSession, region: &str) -> Result<Created, Problem> {
    let until = Instant::now() + OWNER_WITHIN;
    let mut owners = shared.cluster.owners.subscribe();
    while Instant::now() < until {
        owners.mark_unchanged();
        match shared.cluster.owner(region) {
            Owner::Nobody => {
                claim(shared, region, None).await?;
                if shared.cluster.owner(region) != Owner::Nobody {
                    continue;
                }
            }
            Owner::Me(_) => match write(shared, new, region).await? {
                Created::Fenced => {}
                created => return Ok(created),
            },
            Owner::Other(replica) => {
                let question = Question::Place { new: Box::new(new.clone()), region: region.to_owned() };
                match shared.bus.ask(replica, question).await {
                    Ok(Answer::Placed(created)) => {
                        if let Created::New(row) = &*created {
                            let slots = row.node_slots;
                            shared.fleet().set_held(slots.node, slots.held, slots.change);
                        }
                        return Ok(*created);
                    }
                    Ok(Answer::Failed) => return Err(unavailable()),
                    _ => {}
                }
            }
        }
        // An error means that the service closes.
        let _ = timeout(TRY_AGAIN, owners.changed()).await;
    }
    Err(unavailable())
}

fn unavailable() -> Problem {
    let detail = "The server that is responsible for this region does not answer. Try again in a moment.";
    Problem::new(Code::Unavailable, detail).retry_after(5)
}

/// Writes the lease as the owner of the region.
pub(super) async fn write(shared: &Shared, new: &NewSession, region: &str) -> Result<Created, StoreError> {
    let Owner::Me(fence) = shared.cluster.owner(region) else { return Ok(Created::Fenced) };
    let new = NewSession { fence: Some(fence), ..new.clone() };
    let created = shared.store.create_session(&new).await?;
    match &created {
        Created::New(row) => say_held(shared, row.node_slots).await,
        Created::Fenced if shared.cluster.alone => {
            tracing::error!("another matchmaker uses this database: give each of them bus_url");
            let over = shared.cluster.fence(region).map(|fence| fence + 1);
            claim(shared, region, over).await?;
        }
        _ => {}
    }
    Ok(created)
}
