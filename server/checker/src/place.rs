//! A session is asked for, as a page or a program of an account does.

use crate::dice;
use crate::way::{Call, Way};
use anyhow::{Context, Result, bail};
use nearframe_protocol::api::{CreateSession, CreatedSession};
use nearframe_protocol::{NodeKey, TitleId};
use std::time::Instant;
use tracing::debug;

/// The queue is no place for a checker: it says so instead of waiting.
const ACCEPTED: u16 = 202;

/// A session that is ours.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) created: CreatedSession,
    /// Countersigns receipts.
    pub(crate) key: NodeKey,
    pub(crate) asked: Instant,
    pub(crate) answered: Instant,
}

/// Asks for a session. `check`: of an audit, which says where.
pub(crate) async fn place(way: &dyn Way, title: &TitleId, check: Option<&str>) -> Result<Placed> {
    let key = NodeKey::from_seed(dice::bytes()?);
    let mut wish = CreateSession::of(title.clone(), key.public());
    wish.check = check.map(str::to_owned);
    let asked = Instant::now();
    let reply = way.call(Call::new("POST", "/v1/sessions").json(&wish)?).await.context("unreachable")?;
    if reply.status == ACCEPTED {
        bail!("no_capacity: the server wants to be asked again");
    }
    let created = reply.read()?;
    Ok(Placed { created, key, asked, answered: Instant::now() })
}

/// Leaves a session for good.
pub(crate) async fn leave(way: &dyn Way, placed: &Placed) {
    let created = &placed.created;
    let call = Call::new("DELETE", format!("/v1/sessions/{}", created.session.id))
        .with("authorization", format!("Bearer {}", created.ticket));
    if let Err(error) = way.call(call).await {
        debug!("a session is left to its timeouts: {error:#}");
    }
}
