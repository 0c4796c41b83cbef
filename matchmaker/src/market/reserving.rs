//! A wish to reserve, checked, and its money set aside.

use crate::http::problem::{Code, Problem};
use crate::prices;
use crate::quotes;
use crate::random;
use crate::sessions::offer;
use crate::state::Shared;
use crate::store::Payer;
use crate::store::market::{AuctionRow, MOST_ALIVE, ReservationRow, Reserved};
use nearframe_ledger::auction::Wanted;
use nearframe_ledger::hash::Hash32;
use nearframe_ledger::rates::{GPU_TIERS, MAX_PRICE_MICROS, is_region};
use nearframe_protocol::auction::seed_hash;
use nearframe_protocol::market::{
    AHEAD_MS, CreateReservation, LONGEST_MS, MOST_MACHINES, ReservationState, SHORTEST_MS,
};
use nearframe_protocol::prices::Work;

/// Machines begin to stand by this long after an auction ends at the earliest, in ms.
const AFTER_AUCTION_MS: u64 = 1000;

/// Opens an auction for a reservation, with the money for all of it set aside.
pub(crate) async fn reserve(
    shared: &Shared,
    payer: Payer,
    asked: &CreateReservation,
) -> Result<ReservationRow, Problem> {
    let row = row(shared, payer, asked).await?;
    match shared.store.reserve(&row).await? {
        Reserved::Bidding => {
            tracing::info!(reservation = %row.id, machines = asked.machines, "bids are taken");
            Ok(row)
        }
        Reserved::OverBudget => {
            let price = i128::from(row.auction.wanted.ceiling_micros_per_hour);
            let offer = offer::of_payer(shared, payer, price, row.held_micros).await?;
            let needed = row.tariff().currency;
            let detail = format!(
                "The whole time of all machines is set aside at the ceiling, and the budget does not hold it ({} micro-units \
                 of {needed}). Ask for less, or raise the budget.",
                row.held_micros
            );
            Err(Problem::new(Code::BudgetUsedUp, detail).offering(offer))
        }
        Reserved::TooMany => {
            let detail =
                format!("{MOST_ALIVE} reservations are bidden for or booked already. Try again later.");
            Err(Problem::new(Code::NoRoom, detail))
        }
    }
}

async fn row(shared: &Shared, payer: Payer, asked: &CreateReservation) -> Result<ReservationRow, Problem> {
    let bad = |detail: String| Problem::new(Code::BadBody, detail);
    if !(1..=MOST_MACHINES).contains(&asked.machines) {
        return Err(bad(format!("machines is 1 to {MOST_MACHINES}.")));
    }
    if asked.gpu_tier > GPU_TIERS || !is_region(&asked.region) {
        let detail = "gpu_tier is 0 to 7, and region an ISO 3166 code such as DE or US-CA, or empty.";
        return Err(bad(detail.to_owned()));
    }
    let now_ms = shared.now_ms();
    let half_ms = u64::from(shared.config.auction_s) * 500;
    let open_until_ms = now_ms + 2 * half_ms;
    let from_ms = asked.from_ms.max(open_until_ms + AFTER_AUCTION_MS);
    let lasts_ms = asked.until_ms.saturating_sub(from_ms);
    if !(SHORTEST_MS..=LONGEST_MS).contains(&lasts_ms) || from_ms > now_ms + AHEAD_MS {
        let detail = format!(
            "from_ms and until_ms are Unix ms: at most 31 days apart, beginning within 92 days. Bids take {} s; what \
             begins earlier begins then.",
            shared.config.auction_s
        );
        return Err(bad(detail));
    }
    let card = match &asked.quote {
        Some(quote) => {
            let bad =
                |why| Problem::new(Code::BadQuote, format!("{why}. Get a new one from POST /v1/quotes."));
            let version = quotes::read(shared, quote, &asked.title, now_ms);
            let version = version.map_err(|error| bad(error.to_string()))?;
            prices::card(shared, version).await?.ok_or_else(|| bad("its prices are not known".to_owned()))?
        }
        None => shared.prices.card(),
    };
    let currency = card.card.currency.clone();
    let listed = card.card.price_micros_per_hour(Work::Reserve, &asked.region, asked.gpu_tier);
    let ceiling_micros_per_hour = match &asked.price_ceiling {
        None => listed,
        Some(ceiling) => i64::try_from(ceiling.amount_micros)
            .ok()
            .filter(|micros| (0..=MAX_PRICE_MICROS).contains(micros) && ceiling.currency == currency)
            .ok_or_else(|| bad(format!("price_ceiling is an amount of zero or more in {currency}.")))?,
    };
    let seed: [u8; 32] = random::bytes();
    let wanted = Wanted {
        auction: random::auction_id(),
        work: Work::Reserve,
        region: asked.region.clone(),
        gpu_tier: asked.gpu_tier,
        machines: asked.machines,
        from_ms,
        until_ms: asked.until_ms,
        ceiling_micros_per_hour,
        currency,
        seal_until_ms: now_ms + half_ms,
        open_until_ms,
        seed_hash: seed_hash(&seed),
    };
    let row = ReservationRow {
        id: random::reservation_id(),
        account: payer.account,
        key: payer.key,
        title: asked.title.clone(),
        rate_card: card.version,
        fee_permille: card.card.fee_permille,
        state: ReservationState::Bidding,
        held_micros: 0,
        created_at_ms: now_ms,
        stops_at_ms: None,
        auction: AuctionRow { wanted, seed: Hash32(seed), closed_at_ms: None, price_micros: None },
    };
    let whole = row.whole_micros().map_err(|error| bad(format!("The price cannot be counted: {error}.")))?;
    if i64::try_from(whole).is_err() {
        return Err(bad("This costs more than can be counted. Ask for less.".to_owned()));
    }
    Ok(ReservationRow { held_micros: whole, ..row })
}
