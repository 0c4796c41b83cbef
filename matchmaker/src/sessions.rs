//! The life of a session: placed, leased, started, live, ended once.
//!
//! **Architecture invariant:** a session ends only through [`end`], which writes the store first and
//! then tells node and pages; whoever missed the telling reads the store when it comes back.

use crate::bus::{BusError, SessionEvent};
use crate::catalogue;
use crate::http::problem::{Code, Problem};
use crate::ice;
use crate::placements;
use crate::quotes;
use crate::random;
use crate::replicas;
use crate::saves;
use crate::state::{Phase, Shared};
use crate::store::{Created, Idempotency, NewSession, SaveOwner, SessionRow, StoreError};
use nearframe_placement::Request;
use nearframe_placement::latency::Client;
use nearframe_protocol::api::{CreateSession, CreatedSession};
use nearframe_protocol::link::ToNode;
use nearframe_protocol::signal::ToPage;
use nearframe_protocol::{
    EndReason, Generation, GuestId, NodeId, PublicKey, SessionId, SessionState, VersionOffer,
};

/// Nodes tried for one request: each try lost the race for a last slot, which is rare twice in a row.
const MAX_TRIES: usize = 8;

/// A request for a session.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) guest: GuestId,
    pub(crate) request: CreateSession,
    /// Set when the caller may repeat the request.
    pub(crate) idempotency: Option<Idempotency>,
}

/// Places, leases and starts a session; also says whose it is.
pub(crate) async fn create(shared: &Shared, wanted: Wanted) -> Result<(CreatedSession, GuestId), Problem> {
    let Wanted { guest, request, idempotency } = wanted;
    let version = VersionOffer::current()
        .agree(&request.versions)
        .map_err(|error| Problem::new(Code::VersionMismatch, error.to_string()))?;
    if *shared.phase.borrow() != Phase::Open {
        return Err(Problem::new(Code::Draining, "Wait a moment and try again: another server takes over.")
            .retry_after(5));
    }
    let held = catalogue::held(shared, &request.title).ok_or_else(|| {
        let detail = format!("No connected machine holds the title {}. See GET /v1/titles.", request.title);
        Problem::new(Code::UnknownTitle, detail)
    })?;
    let tariff = match &request.quote {
        Some(quote) => quotes::read(shared, quote, &request.title, shared.now_ms()).map_err(|error| {
            Problem::new(Code::BadQuote, format!("{error}. Get a new one from POST /v1/quotes."))
        })?,
        None => shared.config.tariff(),
    };
    shared.saves.settle(&SaveOwner { guest, title: request.title.clone() }).await;
    let new = NewSession {
        id: random::session_id(),
        guest,
        guest_limit: shared.config.limits.sessions_per_guest,
        title: request.title,
        title_hash: held.entry.hash,
        // Replaced by the decision before anything is written.
        node: NodeId::from_bytes([0; 16]),
        player_key: request.player_key,
        lease: random::lease_id(),
        tariff,
        now_ms: shared.now_ms(),
        idempotency,
        // Shown by the owner of the node's region.
        fence: None,
    };
    let (row, again) = lease(shared, new).await?;
    if !again {
        start(shared, &row).await?;
    } else if row.state == SessionState::Starting {
        // Whoever answered first may have died before it told the node, which knows a start again. A node that is
        // not reached now may run it all the same, and says so with its next hello.
        let command = start_command(shared, &row).await?;
        let _ = shared.bus.command(row.node, command).await;
    }
    let node_key = node_key(shared, row.node).await?;
    let created = CreatedSession {
        version,
        ticket: shared.ticket(row.id),
        signal_path: format!("/v1/sessions/{}/signal", row.id),
        node_key,
        ice_servers: ice::servers(&shared.config.ice, row.id, shared.now_ms()),
        now_ms: shared.now_ms(),
        session: row.clone().into(),
    };
    Ok((created, row.guest))
}

/// Decides on a node and writes the lease; decides again when the last slot was just taken.
async fn lease(shared: &Shared, mut new: NewSession) -> Result<(SessionRow, bool), Problem> {
    let request = Request::play(new.title.clone(), new.title_hash);
    // The id is drawn at random; its first bytes serve as dice.
    let seed = u64::from_le_bytes(*new.id.as_bytes().first_chunk().expect("an id has 16 bytes"));
    for _ in 0..MAX_TRIES {
        let (decision, region) = {
            let fleet = shared.fleet();
            let decision = fleet.decide(&request, &Client::default(), seed);
            let chosen = decision.as_ref().ok().and_then(|decision| decision.chosen);
            if let Some(chosen) = chosen {
                new.node = chosen.node;
            }
            (decision, chosen.map(|chosen| fleet.region_of(chosen.node).to_owned()))
        };
        let created = match region {
            Some(region) => replicas::commit(shared, &new, &region).await?,
            // The request may be a repetition of one that was answered.
            None => shared.store.create_session(&new).await?,
        };
        match created {
            Created::New(row) => {
                shared.metrics.sessions_created.add();
                tracing::info!(session = %row.id, node = %row.node, title = %row.title, "session leased");
                let reasons = decision.ok().and_then(|why| placements::describe(shared, row.id, &why));
                reasons.into_iter().for_each(|reasons| shared.placements.keep(reasons));
                return Ok((row, false));
            }
            Created::Again(row) => return Ok((row, true)),
            // Owners of regions are told about before this comes out.
            Created::NoCapacity | Created::Fenced => {}
            Created::TooMany => {
                let most = new.guest_limit;
                let detail = format!("You have {most} sessions already. Leave one and try again.");
                return Err(Problem::new(Code::TooManySessions, detail));
            }
            Created::OverBudget => {
                let detail =
                    "The studio's budget for this title does not hold another hour. Tell the studio.";
                return Err(Problem::new(Code::BudgetUsedUp, detail));
            }
            Created::KeyReused => {
                let detail = "This Idempotency-Key came with another request before. Use a new one.";
                return Err(Problem::new(Code::KeyReused, detail));
            }
        }
        if let Err(no) = decision {
            tracing::info!(title = %request.title, %no, "no node for a session");
            return Err(no_capacity(&no.to_string()));
        }
        // Whoever was faster is not heard of yet: the record knows.
        replicas::read_held(shared).await?;
    }
    Err(no_capacity("others were faster each time"))
}

fn no_capacity(why: &str) -> Problem {
    let detail = format!("There is no free machine for this title right now ({why}). Try again in a minute.");
    Problem::new(Code::NoCapacity, detail).retry_after(15)
}

async fn start(shared: &Shared, row: &SessionRow) -> Result<(), Problem> {
    let command = match start_command(shared, row).await {
        Ok(command) => command,
        Err(error) => {
            // Without what it may restore, a session must not begin: it would save over the player's game.
            end(shared, row.id, EndReason::SaveUnavailable).await?;
            return Err(error.into());
        }
    };
    let told = shared.bus.command(row.node, command).await;
    // What may have arrived is not taken back: the node's heartbeats tell whether it did, and it is told again.
    if let Err(error) = told
        && error != BusError::Silent
    {
        tracing::warn!(session = %row.id, node = %row.node, %error, "the node cannot be told to start");
        end(shared, row.id, EndReason::NodeLost).await?;
        return Err(no_capacity("the machine has just gone"));
    }
    Ok(())
}

/// What tells a node to start this session.
pub(crate) async fn start_command(shared: &Shared, row: &SessionRow) -> Result<ToNode, StoreError> {
    Ok(ToNode::Start {
        session: row.id,
        generation: row.generation,
        title: row.title.clone(),
        hash: row.title_hash,
        player_key: row.player_key,
        ice_servers: ice::servers(&shared.config.ice, row.id, shared.now_ms()),
        save: Some(saves::grant(shared, row).await?),
    })
}

async fn node_key(shared: &Shared, node: NodeId) -> Result<PublicKey, Problem> {
    let key = shared.store.node_key(node).await?;
    key.ok_or_else(|| Problem::new(Code::Internal, "The machine of this session is not enrolled."))
}

/// Ends a session, tells node and pages, and returns it as it is now; `None`: no such session.
pub(crate) async fn end(
    shared: &Shared,
    id: SessionId,
    reason: EndReason,
) -> Result<Option<SessionRow>, StoreError> {
    let Some(ended) = shared.store.end_session(id, reason, shared.now_ms()).await? else { return Ok(None) };
    if ended.first {
        shared.metrics.session_ended(reason);
        tracing::info!(session = %id, %reason, "session ended");
        replicas::say_held(shared, ended.session.node_slots).await;
        let stop = ToNode::Stop { session: id, reason };
        // A node that is gone has nothing to stop; one that comes back is told then.
        let told = shared.bus.command(ended.session.node, stop).await.is_ok();
        if told && reason != EndReason::NodeLost {
            shared.saves.expect_last(&ended.session);
        }
        let message = reason.advice().to_owned();
        shared.bus.publish(id, SessionEvent::All(ToPage::Ended { reason, message })).await;
    }
    Ok(Some(ended.session))
}

/// A node says that the session's first player has a picture.
pub(crate) async fn live(shared: &Shared, id: SessionId, generation: Generation) -> Result<(), StoreError> {
    if shared.store.set_live(id, generation).await? {
        let state = SessionState::Live;
        shared.bus.publish(id, SessionEvent::All(ToPage::State { state })).await;
    }
    Ok(())
}
