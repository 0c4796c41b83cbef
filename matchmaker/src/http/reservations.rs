//! Reservations: machines that stand by, found by auction; and the auctions themselves, for whoever wants to check them.

use super::paging::{self, Cursor, page};
use super::problem::{Code, Json, Path, Problem, Query};
use super::role::Caller;
use super::trail::Made;
use super::who::Books;
use crate::market::reserving;
use crate::state::Shared;
use crate::store::market::{AuctionRow, MachineRow, MachineState, ReservationRow};
use crate::store::{Payer, StoreError};
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use nearframe_ledger::auction::{Cleared, Entry, clear};
use nearframe_protocol::account::AccountKind;
use nearframe_protocol::api::{self, Page};
use nearframe_protocol::market::{
    AuctionBid, AuctionRecord, CreateReservation, Reservation, ReservationState, ReservedMachine,
};
use nearframe_protocol::{AccountId, AuctionId, Money, ReservationId};
use std::sync::Arc;

fn unknown() -> Problem {
    Problem::new(Code::UnknownReservation, "No reservation of yours has this id. See GET /v1/reservations.")
}

/// Who pays for what the caller reserves: the account of the key or of the member; an operator names one.
fn payer(caller: &Caller, asked: Option<AccountId>) -> Result<Payer, Problem> {
    if let Some(payer) = caller.who.payer() {
        return match asked.filter(|account| *account != payer.account) {
            None => Ok(payer),
            Some(_) => Err(Problem::new(Code::BadBody, "A key reserves for its own account alone.")),
        };
    }
    let is_operator = caller.who.operator().is_some();
    let own = caller.who.account().filter(|_| !is_operator);
    match (own, asked) {
        (Some(own), None) => Ok(Payer { account: own, key: None }),
        (Some(own), Some(asked)) if own == asked => Ok(Payer { account: own, key: None }),
        (Some(_), Some(_)) => {
            Err(Problem::new(Code::BadBody, "A member reserves for their own account alone."))
        }
        (None, Some(account)) => Ok(Payer { account, key: None }),
        (None, None) => Err(Problem::new(Code::BadBody, "account says who pays, where an operator asks.")),
    }
}

async fn shown(shared: &Shared, row: ReservationRow) -> Result<Reservation, StoreError> {
    let machines = shared.store.machines(row.id).await?;
    let paid = shared.store.stood_micros(row.id).await?;
    let runs = |machine: &&MachineRow| machine.state == MachineState::Held && machine.runs.is_some();
    let standing = machines.iter().filter(runs).count() as u32;
    let short_ms = short_ms(shared, &row).await?;
    let wanted = &row.auction.wanted;
    let money = |amount_micros: i128| Money { amount_micros, currency: wanted.currency.clone() };
    let machine = |machine: MachineRow| ReservedMachine {
        node: machine.node,
        state: match (machine.state, machine.runs) {
            (MachineState::Held, Some((_, false))) => "playing",
            (MachineState::Held, Some((_, true))) => "standing",
            (MachineState::Held | MachineState::Waiting, _) => "waiting",
            (MachineState::Gone, _) => "gone",
            (MachineState::Done, _) => "done",
        }
        .to_owned(),
        is_next: machine.is_next,
    };
    Ok(Reservation {
        id: row.id,
        auction: wanted.auction,
        account: row.account,
        title: row.title.clone(),
        region: wanted.region.clone(),
        gpu_tier: wanted.gpu_tier,
        machines: wanted.machines,
        from_ms: wanted.from_ms,
        until_ms: row.until_ms(),
        state: row.state,
        decided_at_ms: wanted.open_until_ms,
        price_ceiling: money(wanted.ceiling_micros_per_hour.into()),
        price_per_hour: row.auction.price_micros.map(|micros| money(micros.into())),
        fee_permille: row.fee_permille,
        held: money(row.held_micros),
        paid: money(paid),
        standing,
        short_ms,
        machine_states: machines.into_iter().map(machine).collect(),
        created_at_ms: row.created_at_ms,
    })
}

/// For how long machines were missing of those that were booked.
async fn short_ms(shared: &Shared, row: &ReservationRow) -> Result<u64, StoreError> {
    let wanted = &row.auction.wanted;
    let during = wanted.from_ms..row.until_ms().min(shared.now_ms()).max(wanted.from_ms);
    if !matches!(row.state, ReservationState::Booked | ReservationState::Over) || during.is_empty() {
        return Ok(0);
    }
    let whole_ms = (during.end - during.start).saturating_mul(wanted.machines.into());
    Ok(whole_ms.saturating_sub(shared.store.kept_ms(row.id, during).await?))
}

/// The reservation, if the caller may see it.
async fn own(shared: &Shared, caller: &Caller, id: ReservationId) -> Result<ReservationRow, Problem> {
    let row = shared.store.reservation(id).await?.ok_or_else(unknown)?;
    match caller.who.books()? {
        Books::All => Ok(row),
        Books::Of(account) if account == row.account => Ok(row),
        Books::Of(_) => Err(unknown()),
    }
}

/// Reserves machines: they are called to bid at once, sealed, and the cheapest stand by from `from_ms` until `until_ms`
/// for sessions of the account on this title. All are paid what the first one that lost had asked, or the ceiling where
/// none lost; the money for all of them is set aside at the ceiling now. Where fewer machines bid than are wanted, the
/// reservation fails and nothing is paid. While a session plays on a machine, it is paid as any session, and standing by
/// is not. `POST /v1/quotes` with `"work": "reserve"` tells the rate card's price.
#[utoipa::path(post, path = "/v1/reservations", tag = "money", operation_id = "create_reservation",
    request_body = CreateReservation, security(("operator" = []), ("member" = []), ("key" = [])), responses(
    (status = 201, description = "Bids are taken until `decided_at_ms`", body = Reservation),
    (status = "default", description = "Any error, such as `budget_used_up`, with an offer", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Json(asked): Json<CreateReservation>,
) -> Result<(StatusCode, Extension<Made>, axum::Json<Reservation>), Problem> {
    let payer = payer(&caller, asked.account)?;
    let account = super::accounts::known(&shared, payer.account).await?;
    if !matches!(account.kind, AccountKind::Studio | AccountKind::Player) {
        let detail = "Accounts of studios and players reserve; this is another kind.";
        return Err(Problem::new(Code::BadBody, detail));
    }
    let row = reserving::reserve(&shared, payer, &asked).await?;
    let made = Extension(Made(row.id.to_string()));
    Ok((StatusCode::CREATED, made, axum::Json(shown(&shared, row).await?)))
}

/// The account's reservations, newest first; an operator sees all.
#[utoipa::path(get, path = "/v1/reservations", tag = "money", operation_id = "list_reservations",
    params(("cursor" = Option<String>, Query, description = "`next_cursor` of the page before")),
    security(("operator" = []), ("member" = []), ("key" = [])), responses(
    (status = 200, description = "At most 50 rows", body = Page<Reservation>),
    (status = "default", description = "Any error, such as `sign_in_needed`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Query(cursor): Query<Cursor>,
) -> Result<axum::Json<Page<Reservation>>, Problem> {
    let account = match caller.who.books()? {
        Books::All => None,
        Books::Of(account) => Some(account),
    };
    let rows = shared.store.reservations(account, cursor.read()?, paging::ROWS + 1).await?;
    let mut items = Vec::with_capacity(rows.len());
    for row in rows {
        items.push(shown(&shared, row).await?);
    }
    Ok(axum::Json(page(items, paging::ROWS, |last: &Reservation, _| last.id.to_string())))
}

/// One reservation.
#[utoipa::path(get, path = "/v1/reservations/{reservation}", tag = "money", operation_id = "get_reservation",
    params(("reservation" = ReservationId, Path, description = "Reservation id")),
    security(("operator" = []), ("member" = []), ("key" = [])), responses(
    (status = 200, description = "Where it and its machines stand", body = Reservation),
    (status = "default", description = "Any error, such as `unknown_reservation`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn one(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<ReservationId>,
) -> Result<axum::Json<Reservation>, Problem> {
    let row = own(&shared, &caller, id).await?;
    Ok(axum::Json(shown(&shared, row).await?))
}

/// Cancels a reservation: before it begins, nothing is paid; after that its machines stand by, and are paid, for 15
/// minutes in all at least. Repeating it changes nothing.
#[utoipa::path(delete, path = "/v1/reservations/{reservation}", tag = "money", operation_id = "cancel_reservation",
    params(("reservation" = ReservationId, Path, description = "Reservation id")),
    security(("operator" = []), ("member" = []), ("key" = [])), responses(
    (status = 200, description = "As it is now: `until_ms` says when it ends", body = Reservation),
    (status = "default", description = "Any error, such as `unknown_reservation`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn cancel(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<ReservationId>,
) -> Result<axum::Json<Reservation>, Problem> {
    own(&shared, &caller, id).await?;
    let row = shared.store.cancel_reservation(id, shared.now_ms()).await?.ok_or_else(unknown)?;
    Ok(axum::Json(shown(&shared, row).await?))
}

/// An auction, with everything that its result follows from: `scripts/recompute-auction.py` computes it again. Bids and the
/// seed are told when it is over; before that, seals alone.
#[utoipa::path(get, path = "/v1/auctions/{auction}", tag = "money", operation_id = "get_auction",
    params(("auction" = AuctionId, Path, description = "Auction id")), responses(
    (status = 200, description = "The transcript", body = AuctionRecord),
    (status = "default", description = "Any error, such as `unknown_auction`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn auction(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<AuctionId>,
) -> Result<axum::Json<AuctionRecord>, Problem> {
    let unknown =
        || Problem::new(Code::UnknownAuction, "No auction has this id. Take it from a reservation.");
    let row = shared.store.auction(id).await?.ok_or_else(unknown)?;
    let entries = shared.store.bids(id).await?;
    Ok(axum::Json(record(row, entries)?))
}

fn record(row: AuctionRow, entries: Vec<Entry>) -> Result<AuctionRecord, StoreError> {
    let is_over = row.closed_at_ms.is_some();
    let cleared = if is_over {
        clear(&row.wanted, &entries, &row.seed).map_err(|_| StoreError::Corrupt("seed"))?
    } else {
        Cleared::default()
    };
    // One that was called off while bids could be opened has no winners.
    let called_off = row.closed_at_ms.is_some_and(|at_ms| at_ms <= row.wanted.open_until_ms);
    let (winners, next) = if called_off { (vec![], vec![]) } else { (cleared.winners, cleared.next) };
    let bid = |entry: Entry| {
        let opened = entry.opened.filter(|_| is_over);
        AuctionBid {
            out: cleared.out.get(&entry.node).map(|out| out.code().to_owned()),
            node: entry.node,
            key: entry.key,
            seal: entry.sealed.seal,
            signature: entry.sealed.signature,
            sealed_at_ms: entry.sealed_at_ms,
            bid: opened.as_ref().map(|(open, _)| hex::encode(open.bid.canonical())),
            nonce: opened.as_ref().map(|(open, _)| open.nonce),
            opened_at_ms: opened.map(|(_, at_ms)| at_ms),
            taken_by: entry.taken_by,
        }
    };
    let wanted = row.wanted;
    Ok(AuctionRecord {
        auction: wanted.auction,
        work: wanted.work,
        region: wanted.region,
        gpu_tier: wanted.gpu_tier,
        machines: wanted.machines,
        from_ms: wanted.from_ms,
        until_ms: wanted.until_ms,
        ceiling_micros_per_hour: wanted.ceiling_micros_per_hour,
        currency: wanted.currency,
        seal_until_ms: wanted.seal_until_ms,
        open_until_ms: wanted.open_until_ms,
        seed_hash: wanted.seed_hash,
        seed: is_over.then(|| row.seed.to_string()),
        closed_at_ms: row.closed_at_ms,
        price_micros_per_hour: row.price_micros,
        bids: entries.into_iter().map(bid).collect(),
        winners,
        next,
    })
}
