//! Sessions of checkers that carry an audit out: placed where the draw says, and ordinary in all else.

use super::{Leased, key_reused, no_capacity, offer, too_many};
use crate::checks;
use crate::http::problem::{Code, Problem};
use crate::prices;
use crate::replicas;
use crate::state::Shared;
use crate::store::{Created, NewSession};
use nearframe_placement::Request;

/// A slot on the node that is to be checked.
pub(super) async fn lease(
    shared: &Shared,
    token: &str,
    mut new: NewSession,
    request: &Request,
) -> Result<Leased, Problem> {
    let old =
        || Problem::new(Code::BadBody, "check: it is not known, or too old. Ask GET /v1/checks/next again.");
    let node = checks::node_of(shared, token).ok_or_else(old)?;
    let region = {
        let fleet = shared.fleet();
        if !fleet.could_take_at(request, node) {
            return Err(no_capacity("the machine to be checked does not take it now"));
        }
        fleet.region_of(node).to_owned()
    };
    new.node = node;
    prices::settle(shared, &mut new).await?;
    match replicas::commit(shared, &new, &region).await? {
        Created::New(row) => {
            shared.metrics.sessions_created.add();
            tracing::info!(session = %row.id, node = %row.node, title = %row.title, "session leased");
            Ok(Leased::New(Box::new(row)))
        }
        Created::Again(row) => Ok(Leased::Again(Box::new(row))),
        Created::NoCapacity | Created::Fenced => Err(no_capacity("others were faster")),
        Created::TooMany => Err(too_many(&new)),
        Created::OverBudget => Err(offer::over_budget(shared, &new).await?),
        Created::OverCap => Err(super::over_cap()),
        Created::KeyReused => Err(key_reused()),
    }
}
