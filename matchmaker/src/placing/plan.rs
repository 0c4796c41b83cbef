//! While the house is full, the assignment of everybody is solved anew every few seconds (docs/placement.md).

use crate::state::Shared;
use crate::store::StoreError;

/// Plans, where there is something to plan.
pub(crate) async fn tick(shared: &Shared) -> Result<(), StoreError> {
    let next = shared.fleet().next_plan();
    let Some(next) = next else { return Ok(()) };
    // Takes a processor for as long as it takes; who is seated meanwhile is in the plan after it.
    match tokio::task::spawn_blocking(move || next.solve()).await {
        Ok(plan) => shared.fleet().adopt(plan),
        Err(error) => tracing::error!(%error, "the assignment was not solved; the earlier one stays"),
    }
    Ok(())
}
