//! The life of a session: placed, leased, started, live, ended once.
//!
//! **Architecture invariant:** a session ends only through [`end`], which writes the store first and
//! then tells node and pages; whoever missed the telling reads the store when it comes back.

mod checked;
pub(crate) mod offer;
mod together;

pub(crate) use together::gather;

use crate::bus::{BusError, SessionEvent};
use crate::catalogue;
use crate::http::problem::{Code, Problem};
use crate::ice;
use crate::market;
use crate::placements;
use crate::placing::waiting::{self, Admission};
use crate::placing::{Asker, preempt, rules};
use crate::prices;
use crate::quotes;
use crate::random;
use crate::replicas;
use crate::saves;
use crate::state::{Phase, Shared};
use crate::store::{Created, Ended, Hash, Idempotency, NewSession, Payer, SaveOwner, SessionRow, StoreError};
use nearframe_placement::region::Residency;
use nearframe_placement::{Request, Weights};
use nearframe_protocol::api::{CreateSession, CreatedSession};
use nearframe_protocol::fleet::{Gathered, Pending};
use nearframe_protocol::link::ToNode;
use nearframe_protocol::market::MAX_PLAYER_BYTES;
use nearframe_protocol::measure::Wait;
use nearframe_protocol::prices::Work;
use nearframe_protocol::signal::ToPage;
use nearframe_protocol::{
    EndReason, Generation, GuestId, NodeId, PublicKey, SessionId, SessionState, SpendLimit, TitleHash,
    VersionOffer,
};
use std::net::IpAddr;
use std::sync::PoisonError;

/// Nodes tried for one request: each try lost the race for a last slot, which is rare twice in a row.
const MAX_TRIES: usize = 8;

/// A request for a session.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) guest: GuestId,
    pub(crate) address: IpAddr,
    pub(crate) request: CreateSession,
    /// Who pays in the studio's place.
    pub(crate) payer: Option<Payer>,
    /// Set when the caller may repeat the request.
    pub(crate) idempotency: Option<Idempotency>,
}

/// What becomes of a request for a session.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A machine holds a slot.
    Created(Box<CreatedSession>),
    /// Ask again.
    Pending(Pending),
}

/// What became of a try to lease.
enum Leased {
    New(Box<SessionRow>),
    Again(Box<SessionRow>),
    Waits(Wait),
}

/// Places, leases and starts a session; also says whose it is.
pub(crate) async fn create(shared: &Shared, wanted: Wanted) -> Result<(Answer, GuestId), Problem> {
    let Wanted { guest, address, request: asked, payer, idempotency } = wanted;
    let version = VersionOffer::current()
        .agree(&asked.versions)
        .map_err(|error| Problem::new(Code::VersionMismatch, error.to_string()))?;
    if *shared.phase.borrow() != Phase::Open {
        return Err(Problem::new(Code::Draining, "Wait a moment and try again: another server takes over.")
            .retry_after(5));
    }
    let held = catalogue::held(shared, &asked.title).ok_or_else(|| catalogue::unknown(&asked.title))?;
    let request = request(shared, &asked, held.entry.hash)?;
    let card = match &asked.quote {
        Some(quote) => {
            let bad =
                |why| Problem::new(Code::BadQuote, format!("{why}. Get a new one from POST /v1/quotes."));
            let version = quotes::read(shared, quote, &asked.title, shared.now_ms());
            let version = version.map_err(|error| bad(error.to_string()))?;
            prices::card(shared, version).await?.ok_or_else(|| bad("its prices are not known".to_owned()))?
        }
        None => shared.prices.card(),
    };
    let work = if asked.interruptible { Work::Batch } else { Work::Interactive };
    let basis = prices::beginning(&card, work);
    shared.saves.settle(&SaveOwner { guest, title: asked.title.clone() }).await;
    let asker = Asker::of(shared, address, asked.measured.as_ref(), shared.now_ms());
    let new = NewSession {
        id: random::session_id(),
        guest,
        guest_limit: shared.config.limits.sessions_per_guest,
        title: asked.title.clone(),
        title_hash: held.entry.hash,
        // Replaced by the decision before anything is written.
        node: NodeId::from_bytes([0; 16]),
        player_key: asked.player_key,
        lease: random::lease_id(),
        // Both replaced as well: what it costs is the machine's rate.
        tariff: card.card.tariff(&basis),
        basis: Some(basis),
        now_ms: shared.now_ms(),
        idempotency,
        // Shown by the owner of the node's region.
        fence: None,
        payer,
        reservation: None,
        player: player(&asked, payer)?,
    };
    let leased = match (&asked.check, &asked.group, &asked.booking) {
        (Some(check), _, _) => checked::lease(shared, check, new, &request).await?,
        (None, Some(group), _) => match together::join(shared, group, new, &asked, &asker).await? {
            together::Outcome::Placed(row) => Leased::Again(row),
            together::Outcome::Gathering(gathered) => {
                return Ok((Answer::Pending(pending(shared, guest, None, Some(gathered))), guest));
            }
        },
        (None, None, Some(booking)) => booked(shared, booking, new, request, &asker).await?,
        (None, None, None) => {
            let reserved = market::playing::lease(shared, &new, &request, &asker).await?;
            let leased = match reserved {
                Some(created) => leased_of(shared, created, &new).await,
                None => queued(shared, new, request, &asker, &asked).await,
            };
            waiting::tell(shared).await;
            leased?
        }
    };
    let row = match leased {
        Leased::New(row) => {
            begin(shared, &row, asked.interruptible).await?;
            row
        }
        Leased::Again(row) => {
            start_again(shared, &row).await?;
            row
        }
        Leased::Waits(wait) => {
            shared.metrics.queued.add();
            return Ok((Answer::Pending(pending(shared, guest, Some(wait), None)), guest));
        }
    };
    let node_key = node_key(shared, row.node).await?;
    let guest = row.guest;
    let created = CreatedSession {
        version,
        ticket: shared.ticket(row.id),
        signal_path: format!("/v1/sessions/{}/signal", row.id),
        node_key,
        ice_servers: ice::servers(&shared.config.ice, row.id, shared.now_ms()),
        now_ms: shared.now_ms(),
        challenge: shared.challenge(row.id),
        session: (*row).into(),
    };
    Ok((Answer::Created(Box::new(created)), guest))
}

/// What became of a lease under a reservation.
async fn leased_of(shared: &Shared, created: Created, new: &NewSession) -> Result<Leased, Problem> {
    match created {
        Created::New(row) => {
            shared.metrics.sessions_created.add();
            Ok(Leased::New(Box::new(row)))
        }
        Created::Again(row) => Ok(Leased::Again(Box::new(row))),
        Created::TooMany => Err(too_many(new)),
        Created::OverBudget => Err(offer::over_budget(shared, new).await?),
        Created::OverCap => Err(over_cap()),
        Created::KeyReused => Err(key_reused()),
        Created::NoCapacity | Created::Fenced => Err(no_capacity("others were faster")),
    }
}

/// What a studio calls its player, hashed together with whose word it is.
fn player(asked: &CreateSession, payer: Option<Payer>) -> Result<Option<Hash>, Problem> {
    let Some(name) = asked.player.as_deref() else { return Ok(None) };
    let fits = (1..=MAX_PLAYER_BYTES).contains(&name.len());
    match payer {
        Some(payer) if fits => {
            let words = [&payer.account.as_bytes()[..], name.as_bytes()].concat();
            Ok(Some(blake3::derive_key("nearframe player of an account v1", &words)))
        }
        Some(_) => {
            let detail = format!("player is what you call your player: 1 to {MAX_PLAYER_BYTES} bytes.");
            Err(Problem::new(Code::BadBody, detail))
        }
        None => Err(Problem::new(Code::BadBody, "player is named by keys alone: send one, or leave it out.")),
    }
}

/// What is asked of placement.
fn request(shared: &Shared, asked: &CreateSession, hash: TitleHash) -> Result<Request, Problem> {
    let mut request = shared.placing.rules().request(Request::play(asked.title.clone(), hash));
    if let Some(residency) = &asked.residency {
        residency.check().map_err(|why| Problem::new(Code::BadBody, why))?;
        request.residency.push(rules::of_api(residency));
    }
    if asked.interruptible {
        request.needs.batch = true;
        request.weights = Weights::BATCH;
    }
    request.needs.price_ceiling_micros_per_hour = Some(ceiling(shared, asked)?);
    Ok(request)
}

/// The dearest hour that is taken, in micro-units. There is always one: a node that asks more than it would get has the
/// highest price of all.
fn ceiling(shared: &Shared, asked: &CreateSession) -> Result<u64, Problem> {
    let most = u64::MAX - 1;
    let Some(ceiling) = &asked.price_ceiling else { return Ok(most) };
    if asked.quote.is_some() {
        let detail = "A quote says what an hour costs at most; send it without price_ceiling.";
        return Err(Problem::new(Code::BadBody, detail));
    }
    let currency = &shared.config.currency;
    let micros = u64::try_from(ceiling.amount_micros).ok().filter(|_| ceiling.currency == *currency);
    micros.map(|micros| micros.min(most)).ok_or_else(|| {
        Problem::new(Code::BadBody, format!("price_ceiling is an amount of zero or more in {currency}."))
    })
}

fn pending(shared: &Shared, guest: GuestId, wait: Option<Wait>, gathered: Option<Gathered>) -> Pending {
    Pending { queue: shared.seal("queue", guest.as_bytes()), again_in_ms: waiting::AGAIN_MS, wait, gathered }
}

/// The guest whose place a 202 told; `None` for a forged one.
pub(crate) fn guest_of_queue(shared: &Shared, queue: &str) -> Option<GuestId> {
    Some(GuestId::from_bytes(shared.unseal("queue", queue)?.try_into().ok()?))
}

/// A slot at once where nobody stands before, else a place in the queue.
async fn queued(
    shared: &Shared,
    new: NewSession,
    mut request: Request,
    asker: &Asker,
    asked: &CreateSession,
) -> Result<Leased, Problem> {
    let (guest, title) = (new.guest, new.title.clone());
    let admission = shared.placing.waiting.admit(shared, guest, &request, asked.wait);
    let waits = match admission {
        Admission::Go(waited_ms) => {
            request.waited_ms = waited_ms;
            None
        }
        Admission::Wait(wait) => Some(wait),
        Admission::Crowded => {
            let detail = "You wait for too many games already, or too many players wait. Try again later.";
            return Err(Problem::new(Code::TooManySessions, detail));
        }
    };
    if let Some(wait) = waits {
        // The request may be a repetition of one that was answered.
        return match shared.store.create_session(&new).await? {
            Created::Again(row) => Ok(Leased::Again(Box::new(row))),
            Created::TooMany => Err(too_many(&new)),
            Created::OverBudget => Err(offer::over_budget(shared, &new).await?),
            Created::OverCap => Err(over_cap()),
            Created::KeyReused => Err(key_reused()),
            _ if asked.wait => {
                if !asked.interruptible {
                    preempt::make_way(shared, &request).await?;
                }
                Ok(Leased::Waits(wait))
            }
            _ => Err(no_capacity("others wait already")),
        };
    }
    let outcome = lease(shared, new, request.clone(), asker, true).await;
    match outcome {
        Err(problem) if problem.is(Code::NoCapacity) && !asked.interruptible => {
            if !asked.wait || !shared.fleet().could_take(&request) {
                shared.placing.waiting.leave(guest, &title);
                return Err(problem);
            }
            let wait = shared.placing.waiting.join(guest, &request, shared.now_ms()).ok_or(problem)?;
            preempt::make_way(shared, &request).await?;
            Ok(Leased::Waits(wait))
        }
        Ok(leased) => {
            shared.placing.waiting.served(guest, &title, shared.now_ms());
            Ok(leased)
        }
        other => other,
    }
}

/// A slot of what was booked.
async fn booked(
    shared: &Shared,
    token: &str,
    new: NewSession,
    mut request: Request,
    asker: &Asker,
) -> Result<Leased, Problem> {
    let unknown = || Problem::new(Code::UnknownBooking, "No booking is known by this. It may be over.");
    let id = rules::booking_of_token(shared, token).ok_or_else(unknown)?;
    let booking = shared.placing.rules().booking(id).cloned().ok_or_else(unknown)?;
    if new.now_ms < booking.from_ms || new.now_ms >= booking.until_ms {
        let detail = "The booking does not hold now. Its times are in GET /v1/bookings.";
        return Err(Problem::new(Code::NoRoom, detail));
    }
    request.residency.push(Residency::only(vec![booking.region.clone()]));
    let leased = lease(shared, new, request, asker, false).await?;
    if let Leased::New(row) = &leased
        && !shared.store.use_booking(id, row.id).await?
    {
        end(shared, row.id, EndReason::Operator).await?;
        let detail = format!("All {} slots of the booking are taken.", booking.slots);
        return Err(Problem::new(Code::NoRoom, detail));
    }
    Ok(leased)
}

/// Decides on a node and writes the lease; decides again when the last slot was just taken. `spot`: it gets nothing of
/// what is reserved or booked.
async fn lease(
    shared: &Shared,
    mut new: NewSession,
    mut request: Request,
    asker: &Asker,
    spot: bool,
) -> Result<Leased, Problem> {
    let keeps = shared.placing.rules().keep_anything();
    let _turn = if keeps { Some(shared.placing.turn.lock().await) } else { None };
    // The id is drawn at random; its first bytes serve as dice.
    let seed = u64::from_le_bytes(*new.id.as_bytes().first_chunk().expect("an id has 16 bytes"));
    for _ in 0..MAX_TRIES {
        if keeps && spot {
            let regions = shared.fleet().regions();
            request.shut = shared.placing.rules().shut_regions(&regions, shared.now_ms());
        }
        let (decision, region) = {
            let fleet = shared.fleet();
            let decision = fleet.decide_measured(&request, &asker.client, &asker.measured, seed);
            let chosen = decision.as_ref().ok().and_then(|decision| decision.chosen);
            if let Some(chosen) = chosen {
                new.node = chosen.node;
            }
            (decision, chosen.map(|chosen| fleet.region_of(chosen.node).to_owned()))
        };
        prices::settle(shared, &mut new).await?;
        let ceiling = request.needs.price_ceiling_micros_per_hour;
        let price = u64::try_from(new.tariff.price_micros_per_hour).unwrap_or(u64::MAX);
        if region.is_some() && ceiling.is_some_and(|ceiling| price > ceiling) {
            return Err(no_capacity("prices have just changed"));
        }
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
                if !request.needs.batch {
                    shared.fleet().seat(&asker.client, row.node);
                }
                return Ok(Leased::New(Box::new(row)));
            }
            Created::Again(row) => return Ok(Leased::Again(Box::new(row))),
            // Owners of regions are told about before this comes out.
            Created::NoCapacity | Created::Fenced => {}
            Created::TooMany => return Err(too_many(&new)),
            Created::OverBudget => return Err(offer::over_budget(shared, &new).await?),
            Created::OverCap => return Err(over_cap()),
            Created::KeyReused => return Err(key_reused()),
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

fn too_many(new: &NewSession) -> Problem {
    let most = new.guest_limit;
    let detail = format!("You have {most} sessions already. Leave one and try again.");
    Problem::new(Code::TooManySessions, detail)
}

fn over_cap() -> Problem {
    let detail = "What this player may spend in a month does not hold another hour. The month begins anew on its first \
                  day, in UTC; whoever set the limit can raise it.";
    Problem::new(Code::PlayerCapReached, detail)
}

fn key_reused() -> Problem {
    Problem::new(Code::KeyReused, "This Idempotency-Key came with another request before. Use a new one.")
}

fn no_capacity(why: &str) -> Problem {
    let detail = format!("There is no free machine for this title right now ({why}). Try again in a minute.");
    Problem::new(Code::NoCapacity, detail).retry_after(15)
}

/// Starts a session that was leased just now.
async fn begin(shared: &Shared, row: &SessionRow, interruptible: bool) -> Result<(), Problem> {
    if interruptible {
        shared.store.add_interruptible(row.id).await?;
    }
    let site = shared.fleet().site_of(row.node);
    if let Some(site) = site {
        shared.placing.warmth.started(&row.title, site);
    }
    start(shared, row).await
}

/// Tells the node of a session that was leased before, if it does not run yet.
async fn start_again(shared: &Shared, row: &SessionRow) -> Result<(), Problem> {
    if row.state == SessionState::Starting {
        // Whoever answered first may have died before it told the node, which knows a start again. A node that is
        // not reached now may run it all the same, and says so with its next hello.
        let command = start_command(shared, row).await?;
        let _ = shared.bus.command(row.node, command).await;
    }
    Ok(())
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
    if row.stands_by {
        return Ok(ToNode::StandBy { session: row.id, generation: row.generation });
    }
    Ok(ToNode::Start {
        session: row.id,
        generation: row.generation,
        title: row.title.clone(),
        hash: row.title_hash,
        player_key: row.player_key,
        ice_servers: ice::servers(&shared.config.ice, row.id, shared.now_ms()),
        save: Some(saves::grant(shared, row).await?),
        // A session that moved is not begun again: its page shows whatever comes.
        challenge: (row.generation == Generation(0)).then(|| shared.challenge(row.id)),
    })
}

async fn node_key(shared: &Shared, node: NodeId) -> Result<PublicKey, Problem> {
    let known = || shared.node_keys.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(key) = known().get(&node) {
        return Ok(*key);
    }
    let key = shared.store.node_key(node).await?;
    let key =
        key.ok_or_else(|| Problem::new(Code::Internal, "The machine of this session is not enrolled."))?;
    known().insert(node, key);
    Ok(key)
}

/// Ends a session, tells node and pages, and returns it as it is now; `None`: no such session.
pub(crate) async fn end(
    shared: &Shared,
    id: SessionId,
    reason: EndReason,
) -> Result<Option<SessionRow>, StoreError> {
    end_at(shared, id, reason, shared.now_ms()).await
}

/// The same because a limit did not hold its next hour.
pub(crate) async fn end_over_budget(
    shared: &Shared,
    id: SessionId,
    limit: SpendLimit,
) -> Result<Option<SessionRow>, StoreError> {
    let ended = shared.store.end_over_budget(id, limit, shared.now_ms()).await?;
    tell_end(shared, id, EndReason::BudgetUsedUp, ended).await
}

/// The same with a time that may have passed already.
pub(crate) async fn end_at(
    shared: &Shared,
    id: SessionId,
    reason: EndReason,
    at_ms: u64,
) -> Result<Option<SessionRow>, StoreError> {
    let ended = shared.store.end_session(id, reason, at_ms).await?;
    tell_end(shared, id, reason, ended).await
}

async fn tell_end(
    shared: &Shared,
    id: SessionId,
    reason: EndReason,
    ended: Option<Ended>,
) -> Result<Option<SessionRow>, StoreError> {
    let Some(ended) = ended else { return Ok(None) };
    if ended.first {
        if !ended.session.stands_by {
            shared.metrics.session_ended(reason);
        }
        tracing::info!(session = %id, %reason, "session ended");
        replicas::say_held(shared, ended.session.node_slots).await;
        // Nodes of the release before know no interruption; for them it is the same.
        let told_reason = if reason == EndReason::Preempted { EndReason::Drained } else { reason };
        let stop = ToNode::Stop { session: id, reason: told_reason, limit: ended.session.end_limit };
        // A node that is gone has nothing to stop; one that comes back is told then.
        let told = shared.bus.command(ended.session.node, stop).await.is_ok();
        if told && reason != EndReason::NodeLost && !ended.session.stands_by {
            shared.saves.expect_last(&ended.session);
        }
        let message = ended.session.end_message().unwrap_or_else(|| reason.advice()).to_owned();
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
